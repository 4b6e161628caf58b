"""Traces: what one clip went through, from the command or the request to the stored file.

Off unless an endpoint is set, and then nothing of OpenTelemetry is imported. What is traced calls
``spans``; how spans leave the process is in ``otlp``.
"""
