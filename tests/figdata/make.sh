#!/usr/bin/env bash
# make.sh DIR - write MADE-UP inputs for the plot tool and the paper: nothing here was measured.
# The values follow simple formulas, so that a picture that looks wrong is wrong. The models are
# called demo-* so that no picture made from them can pass for a result.
set -euo pipefail
dir=${1:?usage: make.sh DIR}
mkdir -p "$dir"

awk 'BEGIN {
    OFS = ","
    print "model,arch,weights,weight_format,numerics,device,draft,stage,factor,level,in_tok,out_tok,context_tok,batch,concurrency,window,metric,unit,stat,n,value,ci_lo,ci_hi,ci_method,status,reason"
    nm = split("demo-gptoss demo-qwen3 demo-yi", model, " ")
    split("gptoss qwen3 llama", arch, " ")
    split("mxfp4 bf16 bf16", wf, " ")
    for (m = 1; m <= nm; m++) {
        for (c = 64; c <= 1024; c *= 2) {
            ttft = c * (0.35 + 0.22 * m) / 10 + 1
            lat(m, c, 32, "ttft_ms", "ms", "p50", 40, ttft, 0.04)
            lat(m, c, 32, "ttft_ms", "ms", "p90", 40, ttft * 1.12, 0.07)
            tpot = 0.8 + 0.5 * m + c * 0.0002 * m
            lat(m, c, 32, "tpot_ms", "ms", "p50", 40, tpot, 0.02)
            lat(m, c, 32, "e2e_ms", "ms", "p50", 40, ttft + 31 * tpot, 0.02)
            lat(m, c, 32, "decode_tok_s", "tok/s", "p50", 40, 1000 / tpot, 0.02)
            empty(m, "latency", c, "ttft_ms", "ms", "p99", 40, "below_floor", "p99 needs 300 samples, found 40")
            kv = (m == 1) ? 4096 * (c + (c < 16 ? c : 16)) : (m == 2 ? 6144 * c : 1344 * c)
            mem(m, c, "weights_dev_mib", 3 + 2 * m)
            mem(m, c, "kv_live_mib", kv / 1048576)
            mem(m, c, "act_peak_mib", 0.6 + 0.0006 * c * m)
            mem(m, c, "runtime_mib", 2.1)
        }
        full = (m == 1) ? 8192 : (m == 2 ? 6144 : 1344)
        wind = (m == 1) ? 4096 : full
        row(model[m], arch[m], wf[m], "memory", "", "", "", "", "", 1, "", "", "kv_b_per_tok_meas", "B/tok", "slope", 5, wind * 1.0, wind * 0.999, wind * 1.001, "ols", "ok", "")
        row(model[m], arch[m], wf[m], "memory", "", "", "", "", "", 1, "", "", "kv_b_per_tok_full", "B/tok", "formula", "", full, "", "", "", "ok", "")
        row(model[m], arch[m], wf[m], "memory", "", "", "", "", "", 1, "", "", "kv_b_per_tok_window", "B/tok", "formula", "", wind, "", "", "", "ok", "")
        row(model[m], arch[m], wf[m], "energy", "", "", 128, 32, 160, 1, 1, "steady", "j_per_out_tok", "J/tok", "mean", "", "", "", "", "", "no_meter", "no energy meter on this machine")
        split("facts facts_cloze sums words", task, " ")
        for (t = 1; t <= 4; t++) {
            p = 0.2 + 0.02 * m + 0.05 * (t - 1); n = 100
            z = 1.959963984540054; d = 1 + z * z / n
            mid = (p + z * z / (2 * n)) / d; w = z / d * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
            row(model[m], arch[m], wf[m], "accuracy", "task", task[t], "", "", "", "", "", "", "acc_pct", "%", "value", n, 100 * p, 100 * (mid - w), 100 * (mid + w), "wilson", "ok", "")
            row(model[m], arch[m], wf[m], "accuracy", "task", task[t], "", "", "", "", "", "", "chance_pct", "%", "value", n, t == 1 ? 25 : 0, "", "", "", "ok", "")
            row(model[m], arch[m], wf[m], "accuracy", "task", task[t], "", "", "", "", "", "", "invalid_pct", "%", "value", n, t == 1 ? 0 : 70 - 5 * m, "", "", "", "ok", "")
        }
        row(model[m], arch[m], wf[m], "safety", "set", "harmful", "", "", "", "", "", "", "full_refuse_pct", "%", "value", 60, 10 * m, 10 * m - 7, 10 * m + 12, "wilson", "ok", "")
        row(model[m], arch[m], wf[m], "safety", "set", "benign", "", "", "", "", "", "", "full_refuse_pct", "%", "value", 60, 4 * m, 4 * m - 3, 4 * m + 9, "wilson", "ok", "")
        nl = split("greedy;temperature 0.7, top-p 0.9;temperature 0.7, top-k 50;threads 1;threads 2;context 256;context 1024;experts 2", lv, ";")
        split("sampling sampling sampling threads threads context context experts_used", fa, " ")
        for (l = 1; l <= nl; l++) {
            r = (l == 1 || l == 5 || l == 6) ? 1 : 1 - 0.05 * l + 0.03 * m + (l == 8 ? 0.7 : 0)
            if (l == 8 && m != 1)
                row(model[m], arch[m], wf[m], "ablate", fa[l], lv[l], 128, 32, "", 1, 1, "", "decode_tok_s", "ratio", "ratio", "", "", "", "", "", "unsupported", "this architecture has no experts")
            else
                row(model[m], arch[m], wf[m], "ablate", fa[l], lv[l], 128, 32, "", 1, 1, "", "decode_tok_s", "ratio", "ratio", 25, r, r == 1 ? 1 : r - 0.04, r == 1 ? 1 : r + 0.05, "bootstrap", "ok", "")
        }
    }
}
function q(s) { return s ~ /[,"]/ ? "\"" s "\"" : s }
function row(a, b, c, st, fa, le, it, ot, ct, ba, co, wi, me, un, sa, n, v, lo, hi, cm, ss, re) {
    print a, b, "synthetic", c, "exact", "cpu", 1, st, fa, q(le), it, ot, ct, ba, co, wi, me, un, sa, n, num(v), num(lo), num(hi), cm, ss, q(re)
}
function num(v) { return v == "" ? "" : v == int(v) ? v "" : sprintf("%.6f", v) }
function lat(m, c, o, me, un, sa, n, v, rel) {
    row(model[m], arch[m], wf[m], "latency", "", "", c, o, c + o, 1, 1, "full", me, un, sa, n, v, v * (1 - rel), v * (1 + rel), "bootstrap", "ok", "")
}
function empty(m, st, c, me, un, sa, n, ss, re) {
    row(model[m], arch[m], wf[m], st, "", "", c, 32, c + 32, 1, 1, "full", me, un, sa, n, "", "", "", "", ss, re)
}
function mem(m, c, me, v) {
    row(model[m], arch[m], wf[m], "memory", "", "", "", "", c, 1, "", "", me, "MiB", "value", 1, v, "", "", "", "ok", "")
}' >"$dir/unified.csv"

awk 'BEGIN {
    print "model,active_params,total_params,context_tok,batch,metric,value,unit,per,ci_lo,ci_hi,mbu_pct,mfu_pct"
    nm = split("demo-gptoss demo-qwen3 demo-yi", model, " ")
    for (m = 1; m <= nm; m++) {
        a = m == 1 ? 420000 : 900000 * m; t = m == 1 ? 700000 : a
        printf "%s,%d,%d,160,1,decode_tok_s,%.4f,tok/s,,%.4f,%.4f,,\n", model[m], a, t, 1000 / (0.8 + 0.5 * m), 970 / (0.8 + 0.5 * m), 1030 / (0.8 + 0.5 * m)
        printf "%s,%d,%d,160,1,ape_tok_s_per_b,%.4f,tok/s/B,active,%.4f,%.4f,,\n", model[m], a, t, 1e12 / (0.8 + 0.5 * m) / a, 0.97e12 / (0.8 + 0.5 * m) / a, 1.03e12 / (0.8 + 0.5 * m) / a
        printf "%s,%d,%d,160,1,ape_tpot_ms_per_b,%.4f,ms/B,active,%.4f,%.4f,,\n", model[m], a, t, 1e9 * (0.8 + 0.5 * m) / a, 0.97e9 * (0.8 + 0.5 * m) / a, 1.03e9 * (0.8 + 0.5 * m) / a
        printf "%s,%d,%d,160,1,ape_acc_pp_per_b,%.4f,pp/B,active,%.4f,%.4f,,\n", model[m], a, t, (m - 2) * 1e9 / a, (m - 9) * 1e9 / a, (m + 6) * 1e9 / a
    }
}' >"$dir/ape.csv"

awk 'BEGIN {
    print "run_id,cell_id,block_idx,order_idx,engine,model,weights,weight_format,numerics,device,status,req_idx,in_tok,out_tok,concurrency,t_start_ns,t_tok1_ns,t_tokn_ns,t_done_ns,finish_reason,steady"
    nm = split("demo-gptoss demo-qwen3 demo-yi", model, " ")
    for (m = 1; m <= nm; m++)
        for (i = 0; i < 40; i++) {
            u = (i * 0.6180339887 + m * 0.31) % 1
            t = (0.8 + 0.5 * m + 0.2048 * m) * (1 + 0.05 * (u - 0.5 + u * u * u * u * u * u * u * 3))
            f = 1024 * (0.35 + 0.22 * m) / 10 + 2 * u
            at = i * 200000000
            printf "demo,c1,%d,%d,assay,%s,synthetic,bf16,exact,cpu,ok,%d,1024,32,1,%.0f,%.0f,%.0f,%.0f,length,1\n", i / 8, i % 8, model[m], i, at, at + 1e6 * f, at + 1e6 * (f + 31 * t), at + 1e6 * (f + 31 * t) + 2000
        }
}' >"$dir/requests.csv"
