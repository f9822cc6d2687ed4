"""Request bodies into typed columns, by a model's signature: every form of ``/invocations``, JSON and CSV, without pandas."""
