"""The dashboard that k8s/grafana has for Grafana's sidecar."""

import json
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "k8s" / "grafana" / "dashboard.yaml"
_, _, TEXT = PATH.read_text().partition("  podperf.json: |\n")
DASHBOARD = json.loads(TEXT)
