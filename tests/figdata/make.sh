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
            empty(m, "latency", c, "ttft_ms", "ms", "p99", 40, "ok", "p99 needs 300 samples, found 40")
            kv = (m == 1) ? 4096 * (c + (c < 16 ? c : 16)) : (m == 2 ? 6144 * c : 1344 * c)
            mem(m, c, "weights_dev_mib", 3 + 2 * m)
            mem(m, c, "kv_live_mib", kv / 1048576)
            mem(m, c, "act_peak_mib", 0.6 + 0.0006 * c * m)
            mem(m, c, "runtime_mib", 2.1)
        }
        full = (m == 1) ? 8192 : (m == 2 ? 6144 : 1344)
        wind = (m == 1) ? 4096 : full
        row(model[m], arch[m], wf[m], "memory", "", "", "", "", "", 1, "", "", "kv_b_per_tok_meas", "b_tok", "slope", 5, wind * 1.0, wind * 0.999, wind * 1.001, "ols", "ok", "")
        row(model[m], arch[m], wf[m], "memory", "", "", "", "", "", 1, "", "", "kv_b_per_tok_full", "b_tok", "formula", "", full, "", "", "", "ok", "")
        row(model[m], arch[m], wf[m], "memory", "", "", "", "", "", 1, "", "", "kv_b_per_tok_window", "b_tok", "formula", "", wind, "", "", "", "ok", "")
        row(model[m], arch[m], wf[m], "energy", "", "", 128, 32, 160, 1, 1, "steady", "j_per_out_tok", "j_tok", "mean", "", "", "", "", "", "not_measured", "no energy meter on this machine")
        split("facts facts_cloze sums words", task, " ")
        for (t = 1; t <= 4; t++) {
            p = 0.2 + 0.02 * m + 0.05 * (t - 1); n = 100
            z = 1.959963984540054; d = 1 + z * z / n
            mid = (p + z * z / (2 * n)) / d; w = z / d * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
            row(model[m], arch[m], wf[m], "accuracy", "task", task[t], "", "", "", "", "", "", "acc_pct", "pct", "value", n, 100 * p, 100 * (mid - w), 100 * (mid + w), "wilson", "ok", "")
            row(model[m], arch[m], wf[m], "accuracy", "task", task[t], "", "", "", "", "", "", "chance_pct", "pct", "value", n, t == 1 ? 25 : 0, "", "", "", "ok", "")
            row(model[m], arch[m], wf[m], "accuracy", "task", task[t], "", "", "", "", "", "", "invalid_pct", "pct", "value", n, t == 1 ? 0 : 70 - 5 * m, "", "", "", "ok", "")
        }
        row(model[m], arch[m], wf[m], "safety", "unsafe/prefix", "all", "", "", "", "", "", "", "full_refuse_pct", "pct", "value", 60, 10 * m, 10 * m - 7, 10 * m + 12, "wilson", "ok", "")
        row(model[m], arch[m], wf[m], "safety", "safe/prefix", "all", "", "", "", "", "", "", "full_refuse_pct", "pct", "value", 60, 4 * m, 4 * m - 3, 4 * m + 9, "wilson", "ok", "")
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
    print "model,arch,weights,weight_format,device,draft,active_params,total_params,task,in_tok,out_tok,context_tok,batch,metric,per,unit,better,value,ci_lo,ci_hi,ci_method,front,front_x,pareto,status,reason"
    nm = split("demo-gptoss demo-qwen3 demo-yi", model, " ")
    split("gptoss qwen3 llama", arch, " ")
    for (m = 1; m <= nm; m++) {
        a = m == 1 ? 420000 : 900000 * m; t = m == 1 ? 700000 : a; tpot = 0.8 + 0.7048 * m
        acc = 20 + 2 * m
        ape("", "decode_tok_s", "none", "tok/s", "higher", 1000 / tpot, 0.03, "none", "", "")
        ape("", "ape_tok_s_per_b", "active_b", "tok/s/B", "higher", 1e12 / tpot / a, 0.03, "none", "", "")
        ape("", "ape_tpot_ms_per_b", "active_b", "ms/B", "lower", 1e9 * tpot / a, 0.03, "none", "", "")
        ape("", "decode_tok_s", "none", "tok/s", "higher", 1000 / tpot, 0.03, "tok_s_active_b", a / 1e9, m == 1)
        ape("facts", "acc_pct", "none", "%", "higher", acc, 0.35, "acc_tpot_ms", tpot, 1)
        ape("facts", "acc_pct", "none", "%", "higher", m == 3 ? acc - 8 : acc, 0.35, "acc_gib", (3 + 2 * m) / 1024, m < 3)
        ape("facts", "acc_pct", "none", "%", "higher", "", 0, "acc_j_per_out_tok", "", "")
    }
}
function ape(task, me, per, un, better, v, rel, front, x, pareto) {
    printf "%s,%s,synthetic,bf16,cpu,1,%d,%d,%s,1024,32,1056,1,%s,%s,%s,%s,", model[m], arch[m], a, t, task, me, per, un, better
    if (v == "")
        printf ",,,,%s,,,not_measured,no energy meter on this machine\n", front
    else
        printf "%.6f,%.6f,%.6f,bootstrap,%s,%s,%s,ok,\n", v, v - rel * v, v + rel * v, front, x == "" ? "" : sprintf("%.9f", x), pareto
}' >"$dir/ape.csv"

awk 'BEGIN {
    print "engine,model,arch,weights,weight_format,weight_b,numerics,device,draft,cell_id,in_tok,concurrency,block_idx,order_idx,req_idx,status,t_start_ns,t_tok1_ns,t_tokn_ns,t_done_ns,out_tok,tok_src,finish_reason,steady,tokens_sha256"
    nm = split("demo-gptoss demo-qwen3 demo-yi", model, " ")
    split("gptoss qwen3 llama", arch, " ")
    for (m = 1; m <= nm; m++)
        for (i = 0; i < 40; i++) {
            u = (i * 0.6180339887 + m * 0.31) % 1
            t = (0.8 + 0.5 * m + 0.2048 * m) * (1 + 0.05 * (u - 0.5 + u * u * u * u * u * u * u * 3))
            f = 1024 * (0.35 + 0.22 * m) / 10 + 2 * u
            at = i * 200000000
            printf "assay,%s,%s,synthetic,bf16,1000,exact,cpu,1,c1,1024,1,%d,%d,%d,ok,%.0f,%.0f,%.0f,%.0f,32,engine,length,1,%064d\n", model[m], arch[m], i / 8, i % 8, i % 8, at, at + 1e6 * f, at + 1e6 * (f + 31 * t), at + 1e6 * (f + 31 * t) + 2000, 0
        }
}' >"$dir/requests.csv"

cat >"$dir/headlines.csv" <<'EOF'
headline,unit,published_value,from_csv,corrected,how
made-up claim A,pct,11.1,11.1,22.2,the correction takes something out
made-up claim B,mib_tok,5,5,,cannot be corrected from the data
EOF

cat >"$dir/corrected.csv" <<'EOF'
model,context_tok,out_tok,n,ttft_ms,e2e_p50_ms,e2e_max_ms,tok_s_published,tpot_ms,decode_tok_s,prefill_share_pct,peak_mib,kv_mib_per_tok_published,kv_mib_per_tok_live,kv_mib_per_tok_formula,j_per_1k_published,j_per_1k_decode_est,wh_per_1k_published,tok_per_j_published
gpt-oss-20b,128,64,10,11,1111,1222,33.3,22,45.454545,0.9901,1000,1.5,0.05,0.05,5000,4000,1.388889,0.2
gpt-oss-20b,2048,64,10,111,1111,1222,33.3,22,45.454545,9.991,1000,1.5,0.05,0.05,5000,4000,1.388889,0.2
EOF
