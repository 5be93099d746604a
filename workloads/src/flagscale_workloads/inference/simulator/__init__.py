"""An engine without a model: OpenAI's HTTP, a model of time and memory, faults on demand.

The same requests give the same bytes, so that gateways, autoscalers and recovery can be tested
under load on a machine without a GPU.
"""
