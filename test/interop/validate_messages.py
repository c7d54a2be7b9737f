"""Holds every line of stdin against the models of the Airbyte protocol. Prints how many messages of each type it read."""
import collections
import json
import sys

from airbyte_protocol.models import AirbyteMessage, ConfiguredAirbyteCatalog

counts = collections.Counter()
for number, line in enumerate(sys.stdin, 1):
    try:
        message = AirbyteMessage.model_validate_json(line)
    except Exception as error:
        sys.exit(f"line {number} is no message of the protocol: {error}\n{line[:500]}")
    counts[message.type.value] += 1
    if message.type.value == "CATALOG":
        streams = [{"stream": stream.model_dump(mode="json", exclude_none=True), "sync_mode": "full_refresh", "destination_sync_mode": "append"} for stream in message.catalog.streams]
        ConfiguredAirbyteCatalog.model_validate({"streams": streams})
json.dump(counts, sys.stdout)
