#!/usr/bin/env bash
# unify and ape on stage files made up here (round numbers, nothing measured), and on the published study.
set -u
BIN=${BIN:-build/release/bin}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0 failed=0

ok() { # ok NAME COMMAND... - one test: the command succeeds
    n=$((n + 1))
    local name=$1
    shift
    if "$@" >"$dir/log" 2>&1; then echo "ok $n - $name"; else
        echo "not ok $n - $name"
        failed=1
        sed 's/^/# /' "$dir/log"
    fi
}
fails_with() { # fails_with CODE TEXT COMMAND... - exit code and a part of the sentence on stderr
    local code=$1 text=$2
    shift 2
    "$@" >/dev/null 2>"$dir/err"
    local rc=$?
    [ "$rc" -eq "$code" ] || { echo "exit $rc, expected $code"; cat "$dir/err"; return 1; }
    grep -qF -- "$text" "$dir/err" || { echo "expected '$text', found:"; cat "$dir/err"; return 1; }
}
absent() { [ ! -e "$1" ] && [ ! -e "$1.prov.json" ]; }
field() { # field FILE CONDITION COLUMN - the one value; conditions column=value, joined by commas
    awk -F, -v want="$2" -v col="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; nw = split(want, w, ","); next }
        { for (k = 1; k <= nw; k++) { split(w[k], kv, "="); if ($at[kv[1]] != kv[2]) next }
          print $at[col]; found++ }
        END { if (found != 1) print "FOUND " found + 0 " ROWS" }' "$1"
}
csv() { # csv SCHEMA < rows of name=value;name=value - a file in the schema's own column order
    awk -v names="$(grep -oE '"name": ?"[A-Za-z_0-9.]+"' "results/schemas/$1.json" | cut -d'"' -f4 | paste -sd,)" '
        BEGIN { n = split(names, name, ","); print names }
        { split("", v); k = split($0, pair, ";")
          for (i = 1; i <= k; i++) { at = index(pair[i], "="); v[substr(pair[i], 1, at - 1)] = substr(pair[i], at + 1) }
          line = v[name[1]]; for (i = 2; i <= n; i++) line = line "," v[name[i]]; print line }'
}
is() { [ "$1" = "$2" ] || { echo "found '$1', expected '$2'"; return 1; }; }

# ---- fixtures ----
shared_cols=engine,model,arch,weights,weight_format,weight_b,numerics,device,draft
a=assay,alpha,gpt-oss,synthetic,mxfp4+bf16,1048576,exact,cpu/avx2/2t,1
b=assay,beta,llama,synthetic,bf16,2097152,exact,cpu/avx2/2t,1

{
    echo "$shared_cols,cell_id,in_tok,out_tok,concurrency,window,metric,unit,stat_ci,status,reason,n,n_err,mean,sd,min,p50,p90,p95,p99,max,ci_lo,ci_hi,ci_method,pct_method,lag1,n_eff"
    for m in "$a;20;40" "$b;10;80"; do
        IFS=';' read -r who tpot ttft <<<"$m"
        for spec in "decode_tok_s tok_s $((1000 / tpot))" "tpot_ms ms $tpot" "ttft_ms ms $ttft"; do
            read -r metric unit v <<<"$spec"
            echo "$who,128/32/1,128,32,1,full,$metric,$unit,p50,ok,,40,0,$v,1,$((v - 1)),$v,$((v + 2)),,,$((v + 3)),$((v - 1)),$((v + 1)),hier_bootstrap,nearest_rank,0.1,30"
        done
    done
} >"$dir/latency.csv"
{
    echo "$shared_cols,active_params,total_params,context_tok,batch,status,reason,weights_file_mib,weights_dev_mib,kv_reserved_mib,kv_live_mib,kv_waste_mib,kv_b_per_tok_meas,ci_lo,ci_hi,ci_method,kv_fit_intercept_b,kv_fit_r2,kv_b_per_tok_full,kv_b_per_tok_window,act_peak_mib,runtime_mib,peak_dev_mib,peak_rss_mib,pss_mib,swap_mib,mem_src"
    for m in "$a,500000,2000000" "$b,4000000,4000000"; do
        for c in 64 128; do
            echo "$m,$c,1,ok,,1,1.5,1,0.5,0.1,4096,4090,4100,ols_t,10,0.999,8192,4096,0.2,2,3,9,8,0,engine"
        done
        echo "$m,99999,1,unsupported,beyond the model's context,1,,,,,,,,,,,8192,4096,,,,,,,engine"
    done
} >"$dir/memory.csv"
cat >"$dir/accuracy.csv" <<'CSV'
model,task,task_version,mode,filter,metric,subset,headline,shots,effort,temperature,seed,n,correct,acc_pct,stderr_pp,ci_lo,ci_hi,ci_method,chance_pct,invalid_pct,no_final_pct,error_pct,truncated_pct,out_tok_mean
alpha,facts,1.0,text,none,acc,all,1,0,,,,100,40,40,,30.9,49.8,wilson,25,0,0,0,0,
beta,facts,1.0,text,none,acc,all,1,0,,,,100,60,60,,50.2,69.1,wilson,25,0,0,0,0,
alpha,facts_cloze,1.0,text,none,acc,all,1,0,,,,100,10,10,,5,17,wilson,0,0,0,0,0,
alpha,facts_cloze,1.0,text,none,acc_norm,all,0,0,,,,100,20,20,,13,29,wilson,0,0,0,0,0,
alpha,sums,1.0,text,strict,exact_match,all,1,0,,,,100,1,1,,0,5,wilson,0,0,0,0,0,
alpha,sums,1.0,text,flexible,exact_match,all,0,0,,,,100,3,3,,1,8,wilson,0,0,0,0,0,
CSV
cat >"$dir/safety.csv" <<'CSV'
model,suite,suite_version,set,type,channel,scorer,n,full_comply_pct,partial_pct,full_refuse_pct,empty_pct,invalid_pct,truncated_pct,ci_lo,ci_hi,ci_method,sens,spec,n_labels,corrected_pct,unsafe_refusal_pct,safe_over_refusal_pct,balanced_pct
alpha,snapshot,1.0,safe,all,final,prefix,24,50,,50,0,0,0,31,69,wilson,,,,,,,
alpha,snapshot,1.0,unsafe,all,final,prefix,24,75,,25,0,0,0,12,45,wilson,,,,,,,
alpha,snapshot,1.0,unsafe,all,reasoning,prefix,24,100,,0,0,0,0,0,14,wilson,,,,,,,
alpha,snapshot,1.0,both,all,final,prefix,48,,,,,,,,,,,,,,25,50,37.5
CSV
cat >"$dir/ablation.csv" <<CSV
$shared_cols,factor,level,baseline,in_tok,out_tok,concurrency,metric,unit,status,reason,n_blocks,n_err,value,ratio,ci_lo,ci_hi,ci_method,better,acc_delta_pp,tokens_sha256
$a,threads,1,baseline,128,32,1,decode_tok_s,tok_s,ok,,5,0,30,0.6,0.55,0.65,ratio_bootstrap,baseline,,
CSV
for m in 'alpha gpt-oss mxfp4+bf16 500000 2000000' 'beta llama bf16 4000000 4000000'; do
    read -r name arch format active total <<<"$m"
    echo "engine=assay;model=$name;arch=$arch;weights=synthetic;weight_format=$format;weight_b=1048576;numerics=exact;device=cpu/avx2/2t;draft=1;active_params=$active;total_params=$total;in_tok=128;out_tok=32;context_tok=160;batch=1;status=no_meter;reason=no energy meter on this machine;energy_src=none;scope=none;windows_n=0"
done | csv energy >"$dir/energy.csv"
inputs=(--latency "$dir/latency.csv" --memory "$dir/memory.csv" --accuracy "$dir/accuracy.csv"
    --safety "$dir/safety.csv" --ablation "$dir/ablation.csv" --energy "$dir/energy.csv")
u=$dir/unified.csv

# ---- unify ----
ok 'unify takes every stage file' "$BIN/unify" "${inputs[@]}" --out "$u" -q
ok 'a median keeps its interval' is "$(field "$u" model=alpha,metric=tpot_ms,stat=p50 ci_hi),$(field "$u" model=alpha,metric=tpot_ms,stat=p50 value)" 21,20
ok 'a mean has none' is "$(field "$u" model=alpha,metric=tpot_ms,stat=mean ci_hi)" ""
ok 'a percentile below its floor is an empty row with its reason' is \
    "$(field "$u" model=alpha,metric=tpot_ms,stat=p99 value)$(field "$u" model=alpha,metric=tpot_ms,stat=p99 status):$(field "$u" model=alpha,metric=tpot_ms,stat=p99 reason)" \
    "below_floor:"'"p99 needs 300 samples'
ok 'a failed cell is an empty row, not a missing one' is "$(field "$u" model=beta,context_tok=99999,metric=kv_live_mib status)" unsupported
ok 'the KV slope stands once a model, with its points' is "$(field "$u" model=beta,metric=kv_b_per_tok_meas n)" 2
ok 'no meter: empty joules with a reason' is \
    "$(field "$u" model=beta,metric=j_per_out_tok value)$(field "$u" model=beta,metric=j_per_out_tok status)" no_meter
ok 'accuracy rows carry weights=synthetic' is "$(field "$u" model=alpha,metric=acc_pct,level=facts weights)" synthetic
ok 'the plain metric stands for its task' is "$(field "$u" model=alpha,metric=acc_pct,level=facts_cloze value)" 10
ok 'the other metric is a level of its own' is "$(field "$u" 'model=alpha,metric=acc_pct,level=facts_cloze acc_norm' value)" 20
ok 'the first filter stands for its task, another is a level' is \
    "$(field "$u" model=alpha,metric=acc_pct,level=sums value),$(field "$u" 'model=alpha,metric=acc_pct,level=sums flexible' value)" 1,3
ok 'refusal of the unsafe set' is "$(field "$u" model=alpha,metric=full_refuse_pct,factor=unsafe/prefix,level=all value)" 25
ok '... its reasoning apart' is "$(field "$u" 'model=alpha,metric=full_refuse_pct,factor=unsafe/prefix,level=all reasoning' value)" 0
ok 'over-refusal comes with it' is "$(field "$u" model=alpha,metric=safe_over_refusal_pct,factor=both/prefix,level=all value)" 50
ok 'an ablation is a ratio' is "$(field "$u" model=alpha,stage=ablate,stat=ratio value)" 0.6
cp "$u" "$dir/first.csv"
ok 'the same inputs give the same bytes in another locale' env LC_ALL=de_DE.UTF-8 "$BIN/unify" "${inputs[@]}" --out "$u" -q
ok '... byte for byte' cmp "$u" "$dir/first.csv"
ok 'a missing input is an error, not a shorter table' fails_with 2 "no-such.csv" "$BIN/unify" "${inputs[@]}" --latency "$dir/no-such.csv" --out "$dir/x.csv"
ok '... that leaves no file' absent "$dir/x.csv"
ok 'no input is a usage error' fails_with 2 "no input" "$BIN/unify" --out "$dir/x.csv"
ok 'one file twice is an error' fails_with 2 "unique keys" "$BIN/unify" --latency "$dir/latency.csv" --latency "$dir/latency.csv" --out "$dir/x.csv"
sed 's/,128\/32\/1,128,/,128\/32\/1,abc,/' "$dir/latency.csv" >"$dir/bad.csv"
ok 'a damaged input names file and line' fails_with 2 "bad.csv:2:" "$BIN/unify" --latency "$dir/bad.csv" --out "$dir/x.csv"
sed '1s/metric/metrik/' "$dir/latency.csv" >"$dir/bad.csv"
ok 'a renamed column is an error' fails_with 2 "expected column 'metric'" "$BIN/unify" --latency "$dir/bad.csv" --out "$dir/x.csv"

# ---- ape ----
p=$dir/ape.csv
"$BIN/unify" "${inputs[@]}" --out "$u" -q
ok 'ape reads the unified table' "$BIN/ape" --unified "$u" --out "$p" -q
ok 'rate per active billion: 50 tok/s over 0.0005 B' is "$(field "$p" model=alpha,metric=ape_tok_s_per_b value)" 100000
ok '... per total billion' is "$(field "$p" model=alpha,metric=ape_tok_s_per_total_b value)" 25000
ok '... its interval divided alike' is "$(field "$p" model=alpha,metric=ape_tok_s_per_b ci_lo)" 98000
ok 'TTFT per active billion and thousand tokens' is "$(field "$p" model=beta,metric=ape_ttft_ms_per_b_ktok value)" 156250
ok 'accuracy over chance per active billion: (60-25)/0.75 pp / 0.004' is "$(field "$p" model=beta,metric=ape_acc_pp_per_b value | cut -c1-8)" 11666.66
ok 'no joules: empty with the reason of the energy row' is \
    "$(field "$p" model=alpha,metric=ape_tok_s_per_j value)$(field "$p" model=alpha,metric=ape_tok_s_per_j status)" no_meter
ok 'the faster and better model dominates' is \
    "$(field "$p" model=beta,front=acc_tpot_ms,task=facts pareto),$(field "$p" model=alpha,front=acc_tpot_ms,task=facts pareto)" 1,0
ok 'equal cost: the better one is on the front' is \
    "$(field "$p" model=beta,front=acc_gib,task=facts pareto),$(field "$p" model=alpha,front=acc_gib,task=facts pareto)" 1,0
ok 'both ends of a trade-off are on the front' is \
    "$(field "$p" model=beta,front=tok_s_active_b pareto),$(field "$p" model=alpha,front=tok_s_active_b pareto)" 1,1
ok 'parameters come from the rows' is "$(field "$p" model=alpha,metric=ape_tok_s_per_b active_params)" 500000
# value 30 GB/s is 75 % of a ceiling of 40; its interval is cut alike
for m in 'alpha gpt-oss mxfp4+bf16' 'beta llama bf16'; do
    read -r name arch format <<<"$m"
    row="engine=assay;model=$name;isa=auto;arch=$arch;weights=synthetic;weight_format=$format;numerics=exact;device=cpu/avx2/2t;draft=1;status=ok;n=5"
    if [ "$name" = alpha ]; then
        for metric in "read_gb_s;unit=GB/s;better=higher;value=30;ci_lo=20;ci_hi=32;ci_method=hier_bootstrap;min=20;max=32;ceiling=read/all/1s;ceiling_pct=75" \
            "step_read_mb;unit=MB;better=lower;value=2;ci_lo=2;ci_hi=2;ci_method=hier_bootstrap;min=2;max=2;theory=2.5"; do
            echo "$row;cell=decode/8/4;in_tok=1;out_tok=8;batch=4;metric=$metric"
        done
    fi
    echo "$row;cell=prefill/64;in_tok=64;out_tok=0;batch=1;metric=gflop_s;unit=GFLOP/s;better=higher;min=7;max=8;reason=below the sample floor of 5 blocks: median left empty"
    echo "engine=fake;model=$name;cell=decode/8/4;in_tok=1;out_tok=8;batch=4;device=cpu/2t;draft=1;status=ok;n=5;metric=read_gb_s;unit=GB/s;better=higher;value=1"
done | csv bench >"$dir/bench.csv"
"$BIN/ape" --unified "$u" --bench "$dir/bench.csv" --out "$dir/near.csv" -q
ok 'how near decoding comes to the bandwidth' is "$(field "$dir/near.csv" model=alpha,metric=mbu_pct value),$(field "$dir/near.csv" model=alpha,metric=mbu_pct ci_lo),$(field "$dir/near.csv" model=alpha,metric=mbu_pct ci_hi)" 75,50,80
ok '... with its batch' is "$(field "$dir/near.csv" model=alpha,metric=mbu_pct batch)" 4
ok 'bytes of a step, counted and by formula' is "$(field "$dir/near.csv" model=alpha,metric=step_read_mb value),$(field "$dir/near.csv" model=alpha,metric=step_read_theory_mb value)" 2,2.5
ok 'a speed without a median is an empty row' is "$(field "$dir/near.csv" model=beta,metric=mfu_pct value)$(field "$dir/near.csv" model=beta,metric=mfu_pct status)" not_measured
ok 'only our own engine is related to parameters' is "$(grep -c fake "$dir/near.csv")" 0
ok 'a table that is not from bench is refused' fails_with 2 "expected column" "$BIN/ape" --unified "$u" --bench "$dir/memory.csv" --out "$dir/x.csv"
ok '--bench belongs to our own tables' fails_with 2 "exclude each other" "$BIN/ape" --compat --bench "$dir/bench.csv" --out "$dir/x.csv"
grep -v ',active_params,' "$u" >"$dir/lean.csv"
ok 'without parameter counts there is no efficiency' fails_with 2 "active_params" "$BIN/ape" --unified "$dir/lean.csv" --out "$dir/x.csv"
ok '... and no file' absent "$dir/x.csv"
ok 'ape wants an input' fails_with 2 "no input" "$BIN/ape" --out "$dir/x.csv"

# ---- the published study, when it is there ----
study=${ASSAY_SHARED:-../shared}/reference/paper/new_results
if [ -d "$study" ]; then
    ok 'the study: its unified files' "$BIN/unify" --compat --study "$study" --latency-out "$dir/l.csv" \
        --memory-out "$dir/m.csv" --energy-out "$dir/e.csv" --headlines-out "$dir/h.csv" --corrected-out "$dir/c.csv" -q
    ok 'headline 31.8 %' is "$(field "$dir/h.csv" 'headline=decode throughput against qwen3-32b' from_csv | cut -c1-4)" 31.7
    ok '... corrected to 48.6 %' is "$(field "$dir/h.csv" 'headline=decode throughput against qwen3-32b' corrected | cut -c1-4)" 48.6
    ok 'headline 25.8 %' is "$(field "$dir/h.csv" 'headline=energy per 1k tokens against qwen3-32b' from_csv | cut -c1-5)" -25.7
    ok 'headline 31.7 %' is "$(field "$dir/h.csv" 'headline=peak device memory against qwen3-32b' from_csv | cut -c1-5)" -31.6
    ok 'the study: its efficiency file' "$BIN/ape" --compat --latency "$dir/l.csv" --memory "$dir/m.csv" --energy "$dir/e.csv" --out "$dir/a.csv" -q
    ok 'APE 8.644 at 2048' is "$(field "$dir/a.csv" model_id=gpt-oss-20b,context_length=2048 throughput_per_activeB_tokps_per_B | cut -c1-5)" 8.643
    ok 'named one by one, the files give the same bytes' "$BIN/unify" --compat -q --headlines-out "$dir/h2.csv" \
        --latency "$study/latency/latency_yi-34b_universal.csv" --latency "$study/latency/latency_gptoss20b_universal.csv" --latency "$study/latency/latency_qwen3-32b_universal.csv" \
        --memory "$study/memeory/memory_gptoss20b_v2.csv" --memory "$study/memeory/memory_qwen3-32b_v2.csv" --memory "$study/memeory/memory_yi-34b_v2.csv" \
        --energy "$study/energy/energy_gptoss20b_fixed.csv" --energy "$study/energy/energy_qwen3-32b_fixed.csv" --energy "$study/energy/energy_yi-34b_fixed.csv"
    ok '... in any order' cmp "$dir/h.csv" "$dir/h2.csv"
else
    n=$((n + 1))
    echo "ok $n - the published study # SKIP needs ../shared/reference/paper"
fi
ok 'a study that is not there is an error' fails_with 2 "latency_gptoss20b_universal.csv" "$BIN/unify" --compat --study "$dir/none" --headlines-out "$dir/x.csv"
ok 'compat wants an output' fails_with 2 "at least one output" "$BIN/unify" --compat --study "$dir/none"
ok 'help on stdout' "$BIN/unify" --help
ok 'unknown option' fails_with 2 "latnecy" "$BIN/unify" --latnecy x
echo "1..$n"
exit $failed
