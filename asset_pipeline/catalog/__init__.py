"""Models: their inputs, outputs, prices, seeds and fallbacks.

What is known of a model without asking anybody belongs here. What a prompt says does not
(``prompts``), nor what was charged (``generation.payment.billing``).
"""
