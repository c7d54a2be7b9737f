"""The table of the benches by dlt: python dlt_events.py URL FOLDER BACKEND. URL as SQLAlchemy takes it."""
import sys

import dlt
from dlt.sources.sql_database import sql_table

url, folder, backend = sys.argv[1:]
options = {"backend_kwargs": {"return_type": "arrow"}} if backend == "connectorx" else {}
table = sql_table(url, schema="public", table="events", backend=backend, chunk_size=100_000, reflection_level="full_with_precision", **options)
pipeline = dlt.pipeline("bench", destination=dlt.destinations.filesystem(f"file://{folder}"), dataset_name="bench", pipelines_dir=f"{folder}/pipelines")
print(pipeline.run(table, loader_file_format="parquet", write_disposition="replace"))
