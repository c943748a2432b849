/* A task folder: task.json, a line `---`, its items. What is accepted can be asked: every document has its
 * choices or its target, and the right choice is one of them. The same bytes as a refusal suite. */
#include <stdint.h>

#include "fuzz/scratch.h"
#include "eval/refusal_suite.h"
#include "eval/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_docs(const struct task *t)
{
    for (size_t d = 0; d < t->n_docs; d++) {
        struct buf target = BUF_INIT;
        struct err err = ERR_INIT;
        demand(task_doc_subset(t, d) != NULL);
        if (t->kind == TASK_MULTIPLE_CHOICE) {
            demand(task_doc_choices(t, d) > 0 && task_doc_gold(t, d) < task_doc_choices(t, d));
            for (size_t c = 0; c < task_doc_choices(t, d); c++)
                demand(task_doc_choice(t, d, c) != NULL);
        } else {
            demand(task_doc_target(t, d, &target, &err) == OK);
        }
        buf_release(&target);
    }
}

static void check_suite(const char *def, size_t n_def, const char *prompts, size_t n_prompts)
{
    struct refusal_suite *s;
    struct err err = ERR_INIT;
    if (refusal_suite_parse(&s, def, n_def, "suite.json", &err)) {
        demand(strncmp(err.text, "suite.json", 10) == 0);
        return;
    }
    if (refusal_suite_add(s, prompts, n_prompts, "prompts", &err))
        demand(strncmp(err.text, "prompts", 7) == 0);
    else if (refusal_suite_check(s, "suite", &err) == OK)
        for (size_t i = 0; i < s->n_prompts; i++) {
            cJSON *r = NULL;
            demand(refusal_request(s, i, 0, &r, &err) == OK && r != NULL);
            cJSON_Delete(r);
        }
    refusal_suite_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *items;
    size_t n_items;
    const char *def = (const char *)data;
    size_t n_def = scratch_cut(def, size, &items, &n_items);
    struct task *t;
    struct err err = ERR_INIT;
    check_suite(def, n_def, items, n_items);
    if (task_parse(&t, def, n_def, "task.json", &err)) {
        demand(strncmp(err.text, "task.json", 9) == 0);
        return 0;
    }
    if (task_add_items(t, items, n_items, "items", &err))
        demand(strncmp(err.text, "items", 5) == 0);
    else
        check_docs(t);
    task_free(t);
    return 0;
}
