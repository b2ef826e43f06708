"""Metrics of the archive process; declared here before use."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS_TOTAL = Counter("kairos_detector_archive_records_total", "Records of the log that were archived.", ["kind"])
BYTES_TOTAL = Counter("kairos_detector_archive_written_bytes_total", "Bytes of Parquet written.")
FILES_TOTAL = Counter("kairos_detector_archive_files_total", "Parquet files written.")
STRETCHES_TOTAL = Counter("kairos_detector_archive_stretches_total", "Stretches of the log that were committed.")
WRITE_SECONDS = Histogram(
    "kairos_detector_archive_write_seconds", "Writing one batch.", buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60)
)
LAG_RECORDS = Gauge("kairos_detector_archive_lag_records", "Log end minus archived offset.", ["partition"])
WAITING_RECORDS = Gauge("kairos_detector_archive_waiting_records", "Records in memory that are not archived yet.")
