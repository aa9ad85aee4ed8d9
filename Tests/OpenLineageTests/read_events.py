"""Reads run events with the classes of OpenLineage's own client, and prints what it understood as one JSON array.

Usage: read_events.py FILE

Exits with 1 where a line is no run event, or where the client would write it in another way.
"""

import json
import sys

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import DatasetFacet, error_message_run, job_type_job, output_statistics_output_dataset
from openlineage.client.serde import Serde


@attr.define
class OffsetsFacet(DatasetFacet):
    ranges: list[dict] = attr.field(factory=list)

    @staticmethod
    def _get_schema() -> str:
        return "urn:medallion:schema:openlineage_offsets:1"


CLASSES = {
    "errorMessage": error_message_run.ErrorMessageRunFacet,
    "jobType": job_type_job.JobTypeJobFacet,
    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "medallionOffsets": OffsetsFacet,
}


def facets(read):
    """The facets as objects; a facet of another version than the client knows is a fault."""
    made = {}
    for name, fields in read.items():
        own = {key: value for key, value in fields.items() if not key.startswith("_")}
        made[name] = CLASSES[name](**own, producer=fields["_producer"])
    return made


def event(read):
    inputs = [InputDataset(d["namespace"], d["name"], facets=facets(d["facets"])) for d in read["inputs"]]
    outputs = [
        OutputDataset(d["namespace"], d["name"], facets=facets(d["facets"]), outputFacets=facets(d["outputFacets"]))
        for d in read["outputs"]
    ]
    return RunEvent(
        eventType=RunState[read["eventType"]],
        eventTime=read["eventTime"],
        run=Run(read["run"]["runId"], facets=facets(read["run"]["facets"])),
        job=Job(read["job"]["namespace"], read["job"]["name"], facets=facets(read["job"]["facets"])),
        inputs=inputs,
        outputs=outputs,
        producer=read["producer"],
    )


def bare(value):
    """Without what is empty, which the client leaves out in some places."""
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if item not in (None, {}, [])}
    return [bare(item) for item in value] if isinstance(value, list) else value


def main():
    understood = []
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            read = json.loads(line)
            written = json.loads(Serde.to_json(event(read)))
            if bare(written) != bare(read):
                sys.exit(f"OpenLineage's client writes {bare(written)}\nand not {bare(read)}")
            understood.append(written)
    print(json.dumps(understood))


if __name__ == "__main__":
    main()
