"""Prints the names and the ids of all experiments, read in pages of seven."""

import json
import sys
from typing import Any

from mlflow import MlflowClient
from mlflow.store.entities.paged_list import PagedList


def pages() -> list[PagedList[Any]]:
    client = MlflowClient()
    found = [client.search_experiments(max_results=7)]
    while found[-1].token:
        found.append(client.search_experiments(max_results=7, page_token=found[-1].token))
    return found


def main() -> None:
    found = pages()
    names = [experiment.name for page in found for experiment in page]
    ids = [[experiment.experiment_id for experiment in page] for page in found]
    json.dump({"names": names, "pages": ids}, sys.stdout)


main()
