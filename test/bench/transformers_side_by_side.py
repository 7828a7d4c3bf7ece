#!/usr/bin/env python3
"""Hugging Face transformers on the same GPU and the same shape as our benchmarks, with random weights.

A rival of `moesaic bench latency` and `bench throughput`, not a part of Moesaic: it wants torch, transformers and a GPU, and
ends with 2 and a sentence where one of them is missing. Weights are bf16, as transformers stores MXFP4 checkpoints that it
dequantises; attention is its eager one, the only one for sinks that needs no further package. What generate() does by itself
is measured; --compile adds a static cache with compiled decoding, which warms up for one to two minutes more.

    python3 test/bench/transformers_side_by_side.py --csv transformers.csv --ours latency.csv throughput.csv

Greedy, no stop ids. Batch 1: tokens a second after the first, the prefill measured apart. Larger batches: output tokens over
the whole time, prefill included, all sequences of equal length: what static batching is best at.
"""

import argparse
import csv
import json
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = (
    *("engine", "gpu", "model", "decoding", "streams", "prompt_len", "output_len"),
    *("ttft_ms", "itl_ms", "tokens_per_second", "gpu_gib"),
)
# A measurement is not begun when it would end later than asked; this is the guess before the first step was timed.
USUAL_STEP_SECONDS = 0.1


def main():
    args = parse_arguments()
    began = time.monotonic()
    torch, transformers = import_rival()
    rival = Rival(torch, transformers, args.model)
    rows = []
    for streams in args.streams:
        for decoding in ("generate", "compiled") if args.compile else ("generate",):
            if time.monotonic() - began + rival.seconds_of(args.output_len) > args.seconds:
                print(f"left out, no time: {streams} streams, {decoding}", file=sys.stderr)
                continue
            rows.append(rival.measure(streams, args.prompt_len, args.output_len, decoding))
            print(f"after {time.monotonic() - began:.0f} s: {rows[-1]}", file=sys.stderr)
    rows += [ours(row) for file in args.ours for row in read_csv(file)]
    write_csv(sys.stdout, rows)
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            write_csv(file, rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gpt-oss-20b", help="a config of plans/models (default: %(default)s)")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 64], metavar="N", help="batches (default: 1 64)")
    parser.add_argument("--prompt-len", type=int, default=128, metavar="N")
    parser.add_argument("--output-len", type=int, default=128, metavar="N")
    parser.add_argument("--compile", action="store_true", help="also with a static cache and compiled decoding")
    parser.add_argument("--seconds", type=float, default=90, metavar="S", help="begin nothing that ends later (default: 90)")
    parser.add_argument("--csv", metavar="FILE", help="where to write the rows too")
    parser.add_argument("--ours", nargs="*", default=[], metavar="FILE", help="CSVs of our benchmarks, to stand beside")
    return parser.parse_args()


def import_rival():
    try:
        import torch
        import transformers
    except ImportError as error:
        sys.exit(missing(f"Python has no {error.name}; install torch and transformers, or run nothing: it is only a rival"))
    if not torch.cuda.is_available():
        sys.exit(missing("torch sees no GPU; compare on a machine with one"))
    return torch, transformers


def missing(sentence):
    print(f"transformers_side_by_side: {sentence}", file=sys.stderr)
    return 2


class Rival:
    """The model, and what is asked of it."""

    def __init__(self, torch, transformers, name):
        self.torch, self.name = torch, name
        self.engine = f"transformers {transformers.__version__}, torch {torch.__version__}"
        self.step_seconds = USUAL_STEP_SECONDS
        self.model = build_model(torch, transformers, name)

    def seconds_of(self, output_len):
        """Both runs of a measurement, the warm-up a quarter."""
        return 1.25 * output_len * self.step_seconds

    def measure(self, streams, prompt_len, output_len, decoding):
        prompt = self.prompt(streams, prompt_len)
        self.generate(prompt, max(output_len // 4, 2), decoding)
        first_seconds = min(self.generate(prompt, 1, decoding) for _ in range(2))
        seconds = self.generate(prompt, output_len, decoding)
        step_seconds = (seconds - first_seconds) / (output_len - 1)
        self.step_seconds = max(self.step_seconds, step_seconds)
        speed = 1 / step_seconds if streams == 1 else streams * output_len / seconds
        return {
            "engine": self.engine,
            "gpu": self.torch.cuda.get_device_name(),
            "model": self.name,
            "decoding": decoding,
            "streams": streams,
            "prompt_len": prompt_len,
            "output_len": output_len,
            "ttft_ms": 1e3 * first_seconds,
            "itl_ms": 1e3 * step_seconds,
            "tokens_per_second": speed,
            "gpu_gib": self.torch.cuda.max_memory_allocated() / 2**30,
        }

    def prompt(self, streams, prompt_len):
        generator = self.torch.Generator(device="cuda").manual_seed(streams)
        highest = self.model.config.vocab_size
        return self.torch.randint(0, highest, (streams, prompt_len), generator=generator, device="cuda")

    def generate(self, prompt, output_len, decoding):
        """Seconds of it. A result of another shape has no speed."""
        self.torch.cuda.synchronize()
        began = time.monotonic()
        static = {"cache_implementation": "static"} if decoding == "compiled" else {}
        with self.torch.inference_mode():
            out = self.model.generate(
                input_ids=prompt,
                attention_mask=self.torch.ones_like(prompt),
                max_new_tokens=output_len,
                do_sample=False,
                **static,
            )
        self.torch.cuda.synchronize()
        seconds = time.monotonic() - began
        wanted = (prompt.shape[0], prompt.shape[1] + output_len)
        if tuple(out.shape) != wanted:
            raise RuntimeError(f"generate gave {tuple(out.shape)}, wanted {wanted}; no figures for wrong results")
        return seconds


def build_model(torch, transformers, name):
    """On the GPU from the first byte: 42 GB for gpt-oss-20b."""
    written = json.loads((ROOT / "plans" / "models" / f"{name}.json").read_text())["config"]
    written.pop("quantization_config", None)
    config = transformers.GptOssConfig.from_dict(written)
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation="eager"
        ).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            is_gain = parameter_name.endswith(("norm.weight", "layernorm.weight"))
            parameter.fill_(1) if is_gain else parameter.normal_(0, 0.02)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def read_csv(file):
    with open(file, newline="") as lines:
        return list(csv.DictReader(lines))


def ours(row):
    """A line of `bench latency` or `bench throughput` in this table's columns."""
    return {
        "engine": f"moesaic {row['version']}",
        "gpu": row["gpu"],
        "model": row["model"],
        "decoding": row["bench"],
        "streams": row.get("streams", "1"),
        "prompt_len": row["prompt_len"],
        "output_len": row["output_len"],
        "ttft_ms": row.get("ttft_ms") or row["ttft_ms_p50"],
        "itl_ms": row["itl_ms_p50"],
        "tokens_per_second": row.get("tokens_per_second") or row["output_tokens_per_second"],
        "gpu_gib": "",
    }


def write_csv(file, rows):
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


if __name__ == "__main__":
    main()
