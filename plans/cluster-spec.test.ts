import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { thrownBy } from "../test/thrown.js";
import { CLUSTER_SPEC_DEFAULTS, defaultsInUse } from "./cluster-spec-defaults.js";
import { checkSupported, parseClusterSpec, runAheadOf } from "./cluster-spec.js";

const MINIMAL = `
apiVersion: moesaic.dev/v1
kind: Cluster
metadata: { name: demo }
spec:
  model: ./models/moesaic-demo
`;

const COMPLETE = `
apiVersion: moesaic.dev/v1
kind: Cluster
metadata: { name: all }
spec:
  model: hf://openai/gpt-oss-20b@abc123
  servedModelName: oss
  maxModelLen: 8192
  plan:
    worldSize: 4
    attention: { tp: 2 }
    experts: { ep: 2, tp: 2, assign: auto }
    tokens: sharded
    shard: { "layers.*.mlp.router": replicate }
  replicas: 2
  workers:
    - { host: gpu-box, device: cuda, ranks: 3, threads: 4 }
    - { device: cpu }
  spares: 1
  bus: { url: "nats://bus:4222", credentialsFile: ./bus.creds }
  api: { grpc: "[::1]:50051", http: 0.0.0.0:8000 }
  engine:
    precision: fast
    deterministic: true
    dequantize: true
    kernels: [cpu, reference]
    memoryFraction: 0.5
    numBlocks: 1000
    blockSize: 32
    leaseMs: 5000
    stallMs: 1000
    peerDeadlineMs: 700
    recoveryTimeoutMs: 9000
  scheduler:
    maxBatchedTokens: 256
    maxSequences: 8
    maxWaiting: 16
    runAhead: 4
    policy: priority
    tenants: [{ name: chat, weight: 2.5 }]
    targetStepMs: null
    targetTtftMs: 800
    admissionMargin: 0.1
    prefixCache: false
  security:
    tls: { caFile: ca.pem, certFile: c.pem, keyFile: k.pem }
    apiKeysFile: keys.txt
    allowPlaintextDataPlane: true
  jobs: { directory: ./jobs, maxBytes: 1048576, retentionMs: 1000, maxInFlight: 8 }
`;

describe("parseClusterSpec", () => {
  it("fills in every default of its table", () => {
    const spec = parseClusterSpec(MINIMAL, "cluster.yaml");
    assert.equal(spec.spec.servedModelName, "moesaic-demo");
    assert.deepEqual(spec.spec.plan, { kind: "auto" });
    assert.deepEqual(spec.spec.bus, { url: "embedded", credentialsFile: null });
    assert.deepEqual(spec.spec.workers, [{ host: "localhost", device: "auto", ranks: 1, threads: "auto" }]);
    const inUse = defaultsInUse(spec).map(({ path }) => path);
    assert.deepEqual(
      inUse,
      CLUSTER_SPEC_DEFAULTS.map(({ path }) => path),
    );
  });

  it("takes every setting there is", () => {
    const { spec } = parseClusterSpec(COMPLETE, "cluster.yaml");
    assert.equal(spec.servedModelName, "oss");
    assert.equal(spec.plan.kind === "inline" && spec.plan.plan.tokens, "sharded");
    assert.deepEqual(spec.workers[1], { host: "localhost", device: "cpu", ranks: 1, threads: "auto" });
    assert.deepEqual(spec.engine.kernels, ["cpu", "reference"]);
    assert.deepEqual(spec.bus, { url: "nats://bus:4222", credentialsFile: "./bus.creds" });
    const changed = new Set(["spec.workers[].host", "spec.workers[].device"]);
    const kept = defaultsInUse(parseClusterSpec(COMPLETE, "f")).filter(({ path }) => !changed.has(path));
    assert.deepEqual(kept, [], "no default is left");
  });

  it("is frozen to its leaves", () => {
    const { spec } = parseClusterSpec(MINIMAL, "cluster.yaml");
    assert.throws(() => {
      (spec.engine as { blockSize: number }).blockSize = 32;
    }, TypeError);
  });

  it("tells presets, files and mappings apart", () => {
    const planOf = (written: string): unknown => parseClusterSpec(`${MINIMAL}  plan: ${written}\n`, "f").spec.plan;
    assert.deepEqual(planOf("gpt-oss-20b-4ranks"), { kind: "preset", name: "gpt-oss-20b-4ranks" });
    assert.deepEqual(planOf("./plans/mine.yaml"), { kind: "file", path: "./plans/mine.yaml" });
    assert.equal((planOf("{ worldSize: 1 }") as { kind: string }).kind, "inline");
  });

  it("reports all problems at once, each with file, line, column and path", () => {
    const yaml = `apiVersion: moesaic.dev/v2
kind: Cluster
metadata: {}
spec:
  modle: ./x
  workers:
    - { host: localhost, rank: 1 }
  engine:
    blockSize: 12
    precison: fast
`;
    assert.equal(
      messageOf(() => parseClusterSpec(yaml, "cluster.yaml")),
      `cluster.yaml: 7 problems:
  cluster.yaml:1:13: apiVersion: expected moesaic.dev/v1, got "moesaic.dev/v2"
  cluster.yaml:3:1: metadata.name: expected a name of a-z, 0-9 and -, at most 63 long, it is missing
  cluster.yaml:4:1: spec.model: expected a folder or hf://OWNER/NAME@REVISION, it is missing
  cluster.yaml:7:26: spec.workers[0].rank: no such key; did you mean ranks?
  cluster.yaml:9:16: spec.engine.blockSize: expected a power of two from 8 to 256, got 12
  cluster.yaml:10:5: spec.engine.precison: no such key; did you mean precision?
  cluster.yaml:5:3: spec.modle: no such key; did you mean model?`,
    );
  });

  const bad: [setting: string, wanted: RegExp][] = [
    ["maxModelLen: 0", /spec\.maxModelLen: expected auto or a whole number from 1 to 1073741824, got 0/],
    ["maxModelLen: 1.5", /expected auto or a whole number .*got 1\.5/],
    ["replicas: two", /spec\.replicas: expected a whole number from 1 to 1024, got "two"/],
    [
      "plan: gpt-oss-7rank",
      /spec\.plan: expected auto, a preset \(gpt-oss-20b-1rank, .*, gpt-oss-120b-8ranks\), a path ending in \.yaml, or a mapping/,
    ],
    ["plan: { worldSize: 0 }", /f:7:22: spec\.plan\.worldSize: expected a whole number/],
    ["plan: { worldSize: 1, expert: {} }", /spec\.plan\.expert: no such key; did you mean experts\?/],
    ["workers: []", /spec\.workers: expected at least one worker/],
    ["workers: { host: a }", /spec\.workers: expected a list, got/],
    ["workers: [{ device: gpu }]", /spec\.workers\[0\]\.device: expected cpu, cuda or auto, got "gpu"/],
    ['workers: [{ host: "a b" }]', /spec\.workers\[0\]\.host: expected a host name/],
    ["workers: [{ ranks: -1 }]", /spec\.workers\[0\]\.ranks/],
    ["bus: http://x", /spec\.bus\.url: expected embedded or nats:\/\/HOST:PORT, got "http:\/\/x"/],
    ["api: { http: 8000 }", /spec\.api\.http: expected an address HOST:PORT/],
    ["api: { http: 127.0.0.1:70000 }", /spec\.api\.http: expected an address/],
    ["engine: fast", /spec\.engine: expected a mapping, got "fast"/],
    [
      "engine: { memoryFraction: 1.5 }",
      /spec\.engine\.memoryFraction: expected a number above 0 and at most 1, got 1\.5/,
    ],
    ["engine: { memoryFraction: .nan }", /spec\.engine\.memoryFraction: .*got NaN/],
    ["engine: { blockSize: 512 }", /spec\.engine\.blockSize: expected a power of two from 8 to 256, got 512/],
    [
      "engine: { peerDeadlineMs: 50 }",
      /spec\.engine\.peerDeadlineMs: expected a whole number from 100 to 3600000, got 50/,
    ],
    ["engine: { recoveryTimeoutMs: never }", /spec\.engine\.recoveryTimeoutMs: .*got "never"/],
    ["engine: { numBlocks: 1 }", /spec\.engine\.numBlocks: expected auto or a whole number from 2/],
    ["engine: { kernels: rocm }", /spec\.engine\.kernels: expected auto, reference, cpu, cuda or a list of packages/],
    ["engine: { kernels: [] }", /spec\.engine\.kernels/],
    ["engine: { deterministic: maybe }", /spec\.engine\.deterministic: expected auto, true or false, got "maybe"/],
    ["engine: { dequantize: 1 }", /spec\.engine\.dequantize: expected true or false, got 1/],
    ["scheduler: { maxSequences: 99999999 }", /spec\.scheduler\.maxSequences: expected a whole number from 1 to 65536/],
    ["scheduler: { maxWaiting: 1e99 }", /spec\.scheduler\.maxWaiting/],
    ["scheduler: { runAhead: 65 }", /spec\.scheduler\.runAhead: expected auto or a whole number from 0 to 64, got 65/],
    ["scheduler: { policy: lifo }", /spec\.scheduler\.policy: expected fifo, priority or fair, got "lifo"/],
    ["scheduler: { tenants: [{ weight: 1 }] }", /spec\.scheduler\.tenants\[0\]\.name: .*it is missing/],
    ["scheduler: { tenants: [{ name: a/b }] }", /tenants\[0\]\.name: expected 1 to 64 letters, .*got "a\/b"/],
    ["scheduler: { tenants: [{ name: a, weight: 0 }] }", /tenants\[0\]\.weight: expected a number from 0\.001 to 1000/],
    ["scheduler: { tenants: [{ name: a }, { name: a }] }", /spec\.scheduler\.tenants: expected every name once/],
    ["scheduler: { targetStepMs: 0 }", /targetStepMs: expected null or a whole number from 1 to 60000, got 0/],
    [
      "scheduler: { targetTtftMs: soon }",
      /targetTtftMs: expected null or a whole number from 1 to 3600000, got "soon"/,
    ],
    ["scheduler: { admissionMargin: 1 }", /admissionMargin: expected a number from 0 to 0\.9, got 1/],
    ["security: { tls: { caFile: a } }", /spec\.security\.tls\.certFile: expected a PEM file, it is missing/],
    ["__proto__: { a: 1 }", /spec\.__proto__: no such key/],
  ];
  for (const [setting, wanted] of bad) {
    it(`refuses ${setting}`, () => {
      assert.match(
        messageOf(() => parseClusterSpec(`${MINIMAL}  ${setting}\n`, "f")),
        wanted,
      );
    });
  }

  it("refuses an empty document, a list and a word", () => {
    for (const yaml of ["", "- 1\n", "hello\n"]) {
      assert.match(
        messageOf(() => parseClusterSpec(yaml, "f")),
        /f:1:1: the document: expected a mapping/,
      );
    }
  });
});

describe("checkSupported", () => {
  it("accepts what can run today", () => {
    const settings = [
      "workers: [{ device: cpu }]",
      "workers: [{ device: cpu, ranks: 3 }, { host: big-box, ranks: 2 }]",
      "replicas: 3",
      "spares: 2",
      "bus: nats://bus:4222",
      "plan: gpt-oss-20b-8ranks",
      "engine: { peerDeadlineMs: 500, recoveryTimeoutMs: 60000 }",
      'api: { grpc: "127.0.0.5:1" }',
    ];
    for (const setting of settings) checkSupported(parseClusterSpec(`${MINIMAL}  ${setting}\n`, "f"));
  });

  const openTo = (address: string, security: string) =>
    parseClusterSpec(`${MINIMAL}  api: { grpc: "${address}" }\n${security}`, "f");
  const plaintext = "  security: { allowPlaintextDataPlane: true }\n";

  it("opens the gRPC API to other hosts for ranks with a join token, where plaintext is allowed", () => {
    for (const address of ["0.0.0.0:50051", "[::]:0", "10.1.2.3:50051", "box.example.com:50051"]) {
      checkSupported(openTo(address, plaintext), { hasJoinToken: true });
    }
  });

  it("says what is missing before the gRPC API is opened", () => {
    const refusalOf = (security: string, hasJoinToken: boolean) =>
      thrownBy(() => checkSupported(openTo("0.0.0.0:50051", security), { hasJoinToken })).message;
    assert.match(
      refusalOf(plaintext, false),
      /1 unsupported setting:\n  f:7:16: spec\.api\.grpc: .*set MOESAIC_JOIN_TOKEN/,
    );
    const noPlaintext = refusalOf("", true);
    assert.match(noPlaintext, /spec\.api\.grpc: .*no TLS yet.*in clear.*spec\.security\.allowPlaintextDataPlane: true/);
    assert.match(refusalOf("", false), /2 unsupported settings/);
  });

  it("names everything that cannot, where it is and what to write instead", () => {
    const caught = thrownBy(() => checkSupported(parseClusterSpec(COMPLETE, "cluster.yaml")));
    assert.equal(caught.code, "unimplemented");
    assert.equal(
      caught.message,
      `cluster.yaml: 5 unsupported settings:
  cluster.yaml:6:10: spec.model: models are not downloaded yet; write the folder of a checkpoint
  cluster.yaml:46:5: spec.security: TLS and keys are not there yet; leave them out
  cluster.yaml:21:37: spec.api.http: without TLS and keys, which are not there yet, only loopback is safe; write 127.0.0.1:PORT
  cluster.yaml:23:16: spec.engine.precision: fast has kernels on GPUs alone; write auto or exact, or device: cuda
  cluster.yaml:17:32: spec.workers[0].device: GPU and CPU ranks do not work together yet; write one device for all`,
    );
  });
});

function messageOf(call: () => unknown): string {
  const error = thrownBy(call);
  assert.equal(error.code, "invalid_argument");
  return error.message;
}

describe("runAheadOf", () => {
  it("is what was written, else as far as the steps of the device are short", () => {
    const depthOf = (more: string): number => runAheadOf(parseClusterSpec(`${MINIMAL}  ${more}\n`, "f"));
    assert.equal(depthOf("scheduler: { runAhead: 0 }"), 0);
    assert.equal(depthOf("workers: [{ device: cpu }]"), 1);
    assert.equal(depthOf("workers: [{ device: cuda }]"), 8);
  });
});
