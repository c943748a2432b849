"""tokenizers_golden.py MODELS_DIR OUT_DIR - vectors of the tiny tokenizers from Hugging Face `tokenizers`.

OUT_DIR/NAME.jsonl, one object a line:
  {"text", "ids", "parsed"?}        ids: all is text; parsed: with added tokens recognised, where it differs
  {"messages", "options", "text", "ids"}   the chat template applied by transformers, then parsed whole
Control and bidirectional characters are escaped, so lines end at LF only.
"""

import hashlib
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer

MODELS = ["gptoss-tiny", "qwen3-tiny", "yi-tiny"]

TEXTS = [
    "", " ", "  ", "   a", "a ", "\n", "\r\n", " \n ", "\n\n\n", "\t\tx", "a\u00a0b", "\u2003x", "x\u3000y",
    "Hello, world!", "The quick answer is often wrong.", "  leading and trailing  ", "tabs\tand\nlines\r\nmixed \n end",
    "I don't, you'll, we've, it's, they're, I'M, YOU'RE, 'sx 'S \u017f 'ſ don\u2019t",
    "0 1 12 123 1234 12345 1234567890 3.14159 1e-5 1,000,000 ١٢٣ ½ ²",
    "camelCase HTTPServer XMLHttpRequest iPhone McDonald ABCdef abcDEF ÀÉÎ éÉ ǅungla",
    "int main(void)\n{\n    return 0;\n}\n", "def f(x):\n\treturn x ** 2  # square\n", "a->b; c::d; e/f//g/*h*/",
    "https://example.org/a?b=c&d=e#f", "{\"key\": [1, 2.5, null, true], \"k\": \"v\\n\"}", "<html><body class='x'>&amp;</body></html>",
    "!!! ... ??? --- *** ,,, ;;; ((( ))) [[[ ]]] {{{ }}}", " !a ?b #c $d %e", "a!b?c", "|---|---|\n", "x/\n/y\r\n/z",
    "Élève à l'école; naïve façade, Ångström, Þór, łódź, İstanbul, ĳ", "e\u0301 a\u0308 n\u0303 (decomposed)", "\u0301ABC \u0301abc A\u0301B",
    "ΑΒΓ αβγ Модель читает вопрос", "שלום עולם مرحبا بالعالم", "नमस्ते दुनिया สวัสดีชาวโลก", "模型读问题,然后写回答。数是对的", "モデルは質問を読み、ガガ", "모델은 질문을 읽고 \u1100\u1161\u11a8", "龘靐齉 罕见字",
    "😀 😀😀 👩\u200d👩\u200d👧 🏳️\u200d🌈 🇫🇷 👍🏽", "\u200b\ufeff\u2028\u2029\u0085x", "\u202eabc\u202c", "\u0001\u007f", "a\u0300\u0301\u0302\u0303b", "ﬁ ﬂ ① ℃ Ⅷ ｆｕｌｌ", "\U0001d400\U0001d401 \U00020000\U00030000",
    "a" * 300, "ab" * 150, " " * 100, "\n" * 50, "the answer " * 30, "0" * 50, "é" * 60, "数" * 60, "=-" * 64,
    "<|endoftext|>", "a<|endoftext|>b", "<|im_start|>user\nhi<|im_end|>\n", "<|start|>user<|message|>hi<|end|>", "<|start|><|start|>", "<|im_end|", "<think>x</think>", "e<|im_end|>\u0301", "<|endoftext|><|im_start|><|return|><|call|>", "<unk><|startoftext|>", "<0x41><0x0A>", "▁ ▁a", "<tool_call>\n{}\n</tool_call>",
    "Question: What is seven times six?\nAnswer: 42.\n\nQuestion: Is it?\nAnswer:",
]

ALPHABET = "ab AB 12 \n\r\t'sSt.,!?/é\u0301ß世界😀\u00a0\u200b-_<|>ĳǅʰ"

CHATS = [
    ([("user", "Hello!")], {}),
    ([("system", "Be brief."), ("user", "What is seven times six?")], {}),
    ([("user", "Hi"), ("assistant", "Yes?"), ("user", "  two\n lines ")], {}),
    ([("system", "Say yes or no."), ("user", "Is it?"), ("assistant", "no"), ("user", "Sure?"), ("assistant", "yes"), ("user", "Why?")], {}),
    ([("user", "\nstarts with a newline")], {}),
    ([("user", "模型读问题 😀")], {}),
    ([("user", "Think.")], {"no_thinking": True}),
    ([("user", "Think.")], {"effort": "high"}),
    ([("user", "Think.")], {"effort": "low", "date": "2025-06-28"}),
]


def random_texts(n):
    for k in range(n):
        h = hashlib.sha256(f"text/{k}".encode()).digest()
        yield "".join(ALPHABET[b % len(ALPHABET)] for b in h * (1 + k % 3))


def without_added(text):
    """The same tokenizer that takes everything for text."""
    data = json.loads(text)
    data["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(data))


def chat_line(tokenizer, parser, messages, options):
    turns = [{"role": r, "content": c} for r, c in messages]
    more = {}
    if options.get("no_thinking"):
        more["enable_thinking"] = False
    if "effort" in options:
        more["reasoning_effort"] = options["effort"]
    if "date" in options:
        more["current_date"] = options["date"]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **more)
    return {"messages": turns, "options": options, "text": text, "ids": parser.encode(text).ids}


def escaped(obj):
    text = json.dumps(obj, ensure_ascii=False, separators=(",", ":"))
    return "".join(c if c >= " " and c not in "\u007f\u0085\u2028\u2029\u200b\ufeff" and not "\u202a" <= c <= "\u202e"
                   else f"\\u{ord(c):04x}" for c in text)


def main():
    models, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        text = (models / name / "tokenizer.json").read_text(encoding="utf-8")
        plain, parser = without_added(text), Tokenizer.from_str(text)
        tokenizer = AutoTokenizer.from_pretrained(models / name)
        lines = []
        for t in TEXTS + list(random_texts(60)):
            line = {"text": t, "ids": plain.encode(t).ids}
            parsed = parser.encode(t).ids
            if parsed != line["ids"]:
                line["parsed"] = parsed
            assert tokenizer.encode(t, add_special_tokens=False) == parsed, (name, t)
            lines.append(line)
        lines += [chat_line(tokenizer, parser, m, o) for m, o in CHATS]
        (out / f"{name}.jsonl").write_text("".join(escaped(x) + "\n" for x in lines), encoding="utf-8")
        print(name, len(lines), "vectors", flush=True)


main()
