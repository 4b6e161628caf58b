"""The gate for what others send: text, numbers, documents and addresses, judged before use."""
