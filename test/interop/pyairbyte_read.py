"""PyAirbyte as a user has it: our source by its executable, check, discover, read into its cache, twice.

argv: executable, configuration file, cache folder. The cursor is `updated_at` of orders; the others are read in full.
"""
import json
import sys

import airbyte as ab

executable, config, folder = sys.argv[1:]
source = ab.get_source("source-postgres", config=json.load(open(config)), local_executable=executable)
source.check()
cache = ab.new_local_cache("tapline", cache_dir=folder, cleanup=False)
told = {"streams": source.get_available_streams(), "runs": []}


def read(streams, **options):
    source.select_streams(streams)
    result = source.read(cache=cache, **options)
    told["runs"].append({"processed": result.processed_records, "rows": {name: len(list(dataset)) for name, dataset in result.streams.items() if name in streams}})
    return result


result = read(["customers", "nothing_yet"], force_full_refresh=True)
told["customer"] = {name: str(value) for name, value in result["customers"].to_pandas().set_index("id").loc[7].items() if not name.startswith("_")}
source.set_cursor_key("orders", "updated_at")
read(["orders"])
read(["orders"])
print("\nTOLD " + json.dumps(told))
