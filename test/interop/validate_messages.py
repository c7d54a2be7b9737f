"""Holds lines against the models of the Airbyte protocol.

stdin: a JSON object, the lines of each program by its name. Prints how many messages of each type each of them told.
"""
import collections
import json
import sys

from airbyte_protocol.models import AirbyteMessage, ConfiguredAirbyteCatalog

told = {}
for name, lines in json.load(sys.stdin).items():
    counts = told[name] = collections.Counter()
    for number, line in enumerate(lines.removesuffix("\n").split("\n"), 1):
        try:
            message = AirbyteMessage.model_validate_json(line)
        except Exception as error:
            sys.exit(f"line {number} of {name} is no message of the protocol: {error}\n{line[:500]}")
        counts[message.type.value] += 1
        if message.type.value == "CATALOG":
            streams = [{"stream": stream.model_dump(mode="json", exclude_none=True), "sync_mode": "full_refresh", "destination_sync_mode": "append"} for stream in message.catalog.streams]
            ConfiguredAirbyteCatalog.model_validate({"streams": streams})
json.dump(told, sys.stdout)
