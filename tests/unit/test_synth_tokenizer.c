#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "synth/synth_corpus.h"
#include "synth/synth_tokenizer.h"

static struct synth_tokenizer trained(const char *preset)
{
    struct synth_shape s;
    struct synth_tokenizer t;
    assert_int_equal(synth_preset(&s, preset, NULL), OK);
    assert_int_equal(synth_tokenizer_train(&t, &s, NULL), OK);
    return t;
}

/* Depth of a piece: 0 for a base piece, else one more than its deeper part. */
static size_t depth(const struct synth_pieces *p, size_t i)
{
    if (i < p->n_base)
        return 0;
    const struct synth_piece *x = &p->v[i];
    size_t a = depth(p, synth_pieces_find(p, x->text, x->left_n));
    size_t b = depth(p, synth_pieces_find(p, x->text + x->left_n, x->n - x->left_n));
    return 1 + (a > b ? a : b);
}

static void joins_are_many_and_deep(void **state)
{
    (void)state;
    static const char *const presets[] = {"gptoss-tiny", "qwen3-tiny", "yi-tiny"};
    for (size_t k = 0; k < 3; k++) {
        struct synth_tokenizer t = trained(presets[k]);
        size_t deepest = 0;
        for (size_t i = t.pieces.n_base; i < t.pieces.n; i++) {
            size_t d = depth(&t.pieces, i);
            deepest = d > deepest ? d : deepest;
        }
        assert_true(t.pieces.n - t.pieces.n_base >= 150);
        assert_true(deepest >= 3);
        assert_true(t.pieces.characters || t.pieces.n_base == 256);
        synth_tokenizer_release(&t);
    }
}

/* The plain rule of tokenizers-and-chat.md 1 on the text of one piece: join the neighbours whose
 * joined text is the lowest-numbered piece, leftmost first, until none is left. */
static size_t pieces_left(const struct synth_pieces *p, const char *text, size_t n)
{
    size_t cut[256], parts = 0;
    for (size_t i = 0; i < n; i++)
        if (!p->characters || ((unsigned char)text[i] & 0xC0) != 0x80)
            cut[parts++] = i;
    cut[parts] = n;
    for (;;) {
        size_t best = SIZE_MAX, at = 0;
        for (size_t i = 0; i + 1 < parts; i++) {
            size_t id = synth_pieces_find(p, text + cut[i], cut[i + 2] - cut[i]);
            if (id < best)
                best = id, at = i;
        }
        if (best == SIZE_MAX)
            return parts;
        memmove(&cut[at + 1], &cut[at + 2], (parts - at - 1) * sizeof cut[0]);
        parts--;
    }
}

/* Real vocabularies have this property, and readers that look a whole piece up first rely on it. */
static void every_piece_is_reached_by_joins(void **state)
{
    (void)state;
    static const char *const presets[] = {"gptoss-tiny", "qwen3-tiny", "yi-tiny"};
    for (size_t k = 0; k < 3; k++) {
        struct synth_tokenizer t = trained(presets[k]);
        for (size_t i = 0; i < t.pieces.n; i++) {
            assert_int_equal(pieces_left(&t.pieces, t.pieces.v[i].text, t.pieces.v[i].n), 1);
            assert_int_equal(synth_pieces_find(&t.pieces, t.pieces.v[i].text, t.pieces.v[i].n), i);
        }
        synth_tokenizer_release(&t);
    }
}

static void special_tokens_stand_where_they_should(void **state)
{
    (void)state;
    struct synth_tokenizer t = trained("gptoss-tiny");
    size_t first = t.pieces.n;
    // Offsets of the real table: 199998 <|startoftext|> ... 200018 <|endofprompt|>.
    assert_int_equal(synth_tokenizer_id(&t, "<|startoftext|>"), first);
    assert_int_equal(synth_tokenizer_id(&t, "<|return|>"), first + 4);
    assert_int_equal(synth_tokenizer_id(&t, "<|constrain|>"), first + 5);
    assert_int_equal(synth_tokenizer_id(&t, "<|channel|>"), first + 7);
    assert_int_equal(synth_tokenizer_id(&t, "<|start|>"), first + 8);
    assert_int_equal(synth_tokenizer_id(&t, "<|end|>"), first + 9);
    assert_int_equal(synth_tokenizer_id(&t, "<|message|>"), first + 10);
    assert_int_equal(synth_tokenizer_id(&t, "<|call|>"), first + 14);
    assert_int_equal(synth_tokenizer_id(&t, "<|endofprompt|>"), first + 20);
    assert_true(first + 21 < 640); // rows without text follow
    synth_tokenizer_release(&t);
    t = trained("qwen3-tiny");
    first = t.pieces.n;
    assert_int_equal(synth_tokenizer_id(&t, "<|endoftext|>"), first);
    assert_int_equal(synth_tokenizer_id(&t, "<|im_end|>"), first + 2);
    assert_int_equal(synth_tokenizer_id(&t, "</think>"), first + 25);
    synth_tokenizer_release(&t);
    t = trained("yi-tiny");
    assert_int_equal(synth_tokenizer_id(&t, "<|endoftext|>"), 2);
    assert_int_equal(synth_tokenizer_id(&t, "<|im_end|>"), 7);
    synth_tokenizer_release(&t);
}

static void byte_alphabet(void **state)
{
    (void)state;
    assert_int_equal(synth_byte_id('!'), 0);
    assert_int_equal(synth_byte_id(0xFF), 187);
    assert_int_equal(synth_byte_id(0), 188);
    assert_int_equal(synth_byte_id(0xAD), 255);
    assert_int_equal(synth_byte_code_point(' '), 0x120);
    assert_int_equal(synth_byte_code_point('\n'), 0x10A);
    assert_int_equal(synth_byte_code_point(0xAD), 0x143);
}

static void too_small_a_vocabulary_is_refused(void **state)
{
    (void)state;
    struct synth_shape s;
    struct synth_tokenizer t;
    struct err err = ERR_INIT;
    assert_int_equal(synth_preset(&s, "gptoss-tiny", NULL), OK);
    s.vocab_size = 256 + 150 + 20;
    assert_int_equal(synth_tokenizer_train(&t, &s, &err), ERR_USAGE);
    assert_string_equal(err.text, "--vocab: expected at least 427 (bytes, 150 joins, special tokens), found 426");
    s.vocab_size = 427;
    assert_int_equal(synth_tokenizer_train(&t, &s, &err), OK);
    assert_int_equal(t.pieces.n, 256 + 150);
    synth_tokenizer_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_are_many_and_deep),
        cmocka_unit_test(every_piece_is_reached_by_joins),
        cmocka_unit_test(special_tokens_stand_where_they_should),
        cmocka_unit_test(byte_alphabet),
        cmocka_unit_test(too_small_a_vocabulary_is_refused),
    };
    return cmocka_run_group_tests_name("synth_tokenizer", tests, NULL, NULL);
}
