"""Prints what pyarrow reads from Parquet files: {"columns": {name: type}, "rows": [{name: text or null}]}.

Exact: temporal values as the integers that the file holds (days, microseconds), decimals with their scale, bytes as hex.
"""
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def name_of(t):
    if pa.types.is_decimal(t):
        return f"decimal({t.precision},{t.scale})"
    if pa.types.is_timestamp(t):
        assert t.unit == "us", t
        return "timestamptz" if t.tz else "timestamp"
    if pa.types.is_date(t):
        return "date"
    if pa.types.is_time(t):
        return "time"
    if pa.types.is_string(t) or pa.types.is_large_string(t):
        return "string"
    if pa.types.is_binary(t) or pa.types.is_large_binary(t):
        return "bytes"
    return {"bool": "boolean", "float": "float32", "double": "float64"}.get(str(t), str(t))


def texts(column):
    t = column.type
    if pa.types.is_timestamp(t) or pa.types.is_time64(t):
        return [None if v is None else str(v) for v in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_date(t):
        return [None if v is None else str(v) for v in column.cast(pa.int32()).to_pylist()]
    if pa.types.is_decimal(t):
        return [None if v is None else format(v, "f") for v in column.to_pylist()]
    if pa.types.is_boolean(t):
        return [None if v is None else str(v).lower() for v in column.to_pylist()]
    if name_of(t) == "bytes":
        return [None if v is None else v.hex() for v in column.to_pylist()]
    if pa.types.is_floating(t):
        names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return [None if v is None else names.get(repr(v), repr(v)) for v in column.to_pylist()]
    return [None if v is None else str(v) for v in column.to_pylist()]


tables = [pq.ParquetFile(path).read() for path in sys.argv[1:]]
columns, rows = {}, []
for table in tables:
    columns.update({field.name: name_of(field.type) for field in table.schema})
    by_name = {field.name: texts(table.column(i)) for i, field in enumerate(table.schema)}
    rows += [{name: values[i] for name, values in by_name.items()} for i in range(table.num_rows)]
json.dump({"columns": columns, "rows": rows}, sys.stdout)
