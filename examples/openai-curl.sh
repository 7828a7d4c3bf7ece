#!/usr/bin/env bash
# The HTTP API with curl alone: a whole answer, then the same as a stream of events.
set -euo pipefail
url="http://${MOESAIC_HTTP:-127.0.0.1:8000}/v1"
ask='"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0'

curl --silent --show-error --fail-with-body "$url/chat/completions" \
  --header 'content-type: application/json' --data "{$ask}"
echo
curl --silent --show-error --fail-with-body --no-buffer "$url/chat/completions" \
  --header 'content-type: application/json' --data "{$ask, \"stream\": true}"
