"""HTTP: health, metrics, providers' webhooks, the gate and the operator's page."""
