"""All that imports kopf: watch to queue, probes, start-up."""
