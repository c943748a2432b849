# tiny: three small models of the three architectures, made by synth; CPU, minutes, no download.
# Short windows: every row carries draft=1 and cells below the sample floors stay empty.
MODELS := gptoss-tiny qwen3-tiny yi-tiny
TASKS := facts-mc arithmetic-cot copy-words
SUITES := contrast-mini
SEED := 1234
DRAFT := 1

LATENCY_IN_TOK := 32,128,512
LATENCY_OUT_TOK := 32
LATENCY_CONCURRENCY := 1,4
LATENCY_BLOCKS := 5
LATENCY_REQUESTS := 8
LATENCY_WARMUP := 3
PREFILL_CHUNK := 64

MEMORY_CONTEXTS := 64,128,256,512,1024
MEMORY_BATCHES := 1,4

ENERGY_CONTEXTS := 128
ENERGY_BATCHES := 1
ENERGY_WINDOW_S := 1
ENERGY_IDLE_S := 1

ABLATE_BLOCKS := 5
ABLATE_REQUESTS := 2
