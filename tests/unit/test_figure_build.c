#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "figure/figure_desc.h"
#include "figure/gnuplot.h"

enum { N_COLS = 5 };

static const char *const cols[N_COLS] = {"model", "x", "y", "n", "reason"};
static const char *const cells[][N_COLS] = {{"m_b", "2", "5", "40", ""}, {"m_a", "1", "3", "30", ""},
                                            {"m_c", "3", "4", "40", ""}, {"m_d", "9", "", "", "it's broken"}};
static const char head[] = "# figure: demo\n# title: Demo's title\n# caption: Made up, n = {d.n}; {d.rows} points of\n"
                           "#   {d.model}.\n";
static const char body[] = "set xrange [0:4]\nset yrange [0:6]\nplot for [i=1:d_n] $d index i-1 using 2:3 with points "
                           "linestyle d_ls[i] title d_key[i]\n";

struct fixture {
    struct arena *a;
    const char *cols[N_COLS];
    const char *cells[4 * N_COLS];
    struct grid grid;
    struct grids grids;
};

static enum status build(struct fixture *f, const char *lines, struct figure *fig, struct err *err)
{
    struct buf text = BUF_INIT;
    struct desc d;
    *f = (struct fixture){0};
    assert_int_equal(arena_new(&f->a, 1 << 14, NULL), OK);
    memcpy(f->cols, cols, sizeof cols);
    memcpy(f->cells, cells, sizeof cells);
    f->grid = (struct grid){.name = "u", .path = "u.csv", .n_cols = N_COLS, .n_rows = 4, .cols = f->cols,
                            .cells = f->cells};
    f->grids = (struct grids){.grid = &f->grid, .n = 1};
    buf_printf(&text, "%s%s\n%s", head, lines, body);
    enum status st = desc_parse(&d, text.data, "demo.gp", f->a, err);
    if (!st)
        st = figure_build(fig, &d, &f->grids, "set datafile missing '?'\n", f->a, err);
    buf_release(&text);
    return st;
}

static void script_holds_data_caption_and_styles(void **state)
{
    (void)state;
    struct fixture f;
    struct figure fig, read;
    assert_int_equal(build(&f, "# data: d by model from u take y x n\n", &fig, NULL), OK);
    assert_null(fig.empty);
    assert_string_equal(fig.caption, "Made up, n = 30 to 40; 3 points of m_a, m_b, m_c.");
    assert_non_null(strstr(fig.script, "$d << EOD\n# model y x n\n\"m_a\" 3 1 30\n\n\n\"m_b\" 5 2 40\n\n\n\"m_c\" 4 3 40\nEOD\n"));
    assert_non_null(strstr(fig.script, "array d_key[3] = ['m_a', 'm_b', 'm_c']\narray d_ls[3] = [1, 2, 3]\n"));
    assert_int_equal(figure_header(&read, fig.script, "demo.gp", f.a, NULL), OK);
    assert_string_equal(read.name, "demo");
    assert_string_equal(read.caption, fig.caption);
    assert_null(read.empty);
    arena_free(f.a);
}

static void empty_figure_says_why(void **state)
{
    (void)state;
    struct fixture f;
    struct figure fig, read;
    struct err err = ERR_INIT;
    assert_int_equal(build(&f, "# data: d by model from u where model=m_d take y n x\n", &fig, NULL), OK);
    assert_string_equal(fig.empty, "not measured on this machine: it's broken");
    assert_non_null(strstr(fig.script, "it''s broken"));
    assert_int_equal(figure_header(&read, fig.script, "demo.gp", f.a, NULL), OK);
    assert_string_equal(read.empty, fig.empty);
    arena_free(f.a);
    assert_int_equal(build(&f, "# data: d by model from u where model=m_z take y n x\n", &fig, &err), ERR_FORMAT);
    assert_string_equal(err.text, "demo.gp: data 'd' is empty and nothing says why");
    arena_free(f.a);
    assert_int_equal(build(&f, "# data: d by model from u where model=m_z take y n\n# empty: no such model\n", &fig, NULL),
                     OK);
    assert_string_equal(fig.empty, "not measured on this machine: no such model");
    arena_free(f.a);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *says;
    } bad[] = {{"# colour: red\n", "demo.gp:5: unknown key 'colour'"},
               {"# width: wide\n", "expected 'column' or 'page'"},
               {"# height_cm: tall\n", "height_cm"},
               {"#no\n", "demo.gp:5: expected '# key: value'"},
               {"# data: e by model from u take y\n", "expected {NAME.COL} in the caption"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fixture f;
        struct figure fig;
        struct err err = ERR_INIT;
        assert_int_not_equal(build(&f, bad[i].lines, &fig, &err), OK);
        if (!strstr(err.text, bad[i].says))
            fail_msg("'%s': expected '%s', found '%s'", bad[i].lines, bad[i].says, err.text);
        arena_free(f.a);
    }
}

/* The same bytes twice, a second apart (a PDF carries the clock unless it is taken out). */
static void pictures_repeat(void **state)
{
    (void)state;
    struct fixture f;
    struct figure fig;
    struct buf one = BUF_INIT, two = BUF_INIT;
    assert_int_equal(build(&f, "# data: d by model from u take y x n\n", &fig, NULL), OK);
    for (int format = PLOT_SVG; format <= PLOT_PDF; format++) {
        struct err err = ERR_INIT;
        buf_clear(&one);
        buf_clear(&two);
        if (gnuplot_render(&one, fig.script, (enum plot_format)format, "/tmp/assay-test-figure", &err) == ERR_DEVICE)
            skip();
        assert_string_equal(err.text, "");
        sleep(1);
        assert_int_equal(gnuplot_render(&two, fig.script, (enum plot_format)format, "/tmp/assay-test-figure", &err), OK);
        assert_int_equal(one.n, two.n);
        assert_memory_equal(one.data, two.data, one.n);
    }
    buf_release(&one);
    buf_release(&two);
    arena_free(f.a);
}

static void gnuplot_failures_are_ours(void **state)
{
    (void)state;
    static const char *const bad[] = {"plot no_such_function(x)\n", "exit status 3\n", "plot '/no/such/file'\n",
                                      "set terminal svg\nset output output\nset xrange [0:1]\nplot 1/0\n", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        enum status st = gnuplot_render(&out, bad[i], PLOT_SVG, "/tmp/assay-test-figure", &err);
        if (st == ERR_DEVICE)
            skip();
        if (st != ERR_FORMAT || !*err.text)
            fail_msg("script %zu: status %d '%s'", i, st, err.text);
        assert_int_equal(out.n, 0);
        buf_release(&out);
    }
    struct buf out = BUF_INIT;
    assert_int_equal(gnuplot_render(&out, "", PLOT_SVG, "/no/such/folder/x", NULL), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(script_holds_data_caption_and_styles), cmocka_unit_test(empty_figure_says_why),
        cmocka_unit_test(mistakes_are_named), cmocka_unit_test(pictures_repeat),
        cmocka_unit_test(gnuplot_failures_are_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
