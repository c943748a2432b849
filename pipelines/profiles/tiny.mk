# tiny: three small models of the three architectures, made by synth; CPU, minutes, no download.
# Short windows: every row carries draft=1 and cells below the sample floors stay empty.
MODELS := gptoss-tiny qwen3-tiny yi-tiny
SEED := 1234
DRAFT := 1

# Exact: the same bytes on every machine.
TASKS := facts sums words
CHAT_TASKS := sums words
SUITES := snapshot
PREFILL_CHUNK := 64
INFER_PARALLEL := 8

# Measured here.
LATENCY_IN_TOK := 32,128,512
LATENCY_OUT_TOK := 32
LATENCY_CONCURRENCY := 1,4
LATENCY_BLOCKS := 5
LATENCY_REQUESTS := 8
LATENCY_WARMUP := 3
BENCH_PREFILL := 128
BENCH_DECODE := 1,4
BENCH_DECODE_TOK := 32
BENCH_BLOCKS := 5
BENCH_READ_MIB := 128
BENCH_PROBE_MS := 10
MEMORY_CONTEXTS := 128,256,512,1024,2048
MEMORY_BATCHES := 1,4
ENERGY_CONTEXTS := 128
ENERGY_BATCHES := 1,4
ENERGY_WINDOW_S := 1
ENERGY_IDLE_S := 1
ABLATE_IN_TOK := 128
ABLATE_OUT_TOK := 32
ABLATE_CONTEXTS := 64,256,1024
ABLATE_BLOCKS := 5
ABLATE_REQUESTS := 3
# The same model in another weight format, for factor weight-format.
ALT_gptoss-tiny := gptoss-tiny-bf16
