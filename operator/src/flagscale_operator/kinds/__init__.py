"""One package per resource kind: render, status, reconcile."""
