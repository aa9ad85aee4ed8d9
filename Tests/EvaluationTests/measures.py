"""Measures of rankings by pytrec_eval, which is NIST's trec_eval: a JSON list of
{"grades": {id: grade}, "ranking": [id, …]} in the file that is named, a list of {"ndcg", "recall", "mrr"} comes out."""

import json
import sys

import pytrec_eval

cases = json.load(open(sys.argv[1]))
qrels, run = {}, {}
for number, case in enumerate(cases):
    qrels[str(number)] = case["grades"]
    run[str(number)] = {document: float(-place) for place, document in enumerate(case["ranking"])}
evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100", "recip_rank"})
found = evaluator.evaluate(run)
measures = [found[str(number)] for number in range(len(cases))]
json.dump([{"ndcg": m["ndcg_cut_10"], "recall": m["recall_100"], "mrr": m["recip_rank"]} for m in measures], sys.stdout)
