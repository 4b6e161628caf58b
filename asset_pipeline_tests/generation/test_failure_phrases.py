"""What providers really say when a prediction fails, and the class that it has to be.

The sentences are of Replicate, of the models behind it and of the providers of those: from their
documents and from public issue threads, shortened, with names left out.
"""

from __future__ import annotations

import pytest

from asset_pipeline.generation.classifier import from_prediction, from_refusal
from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.providers.protocol import RefusedError
from asset_pipeline_tests.support.generation_samples import prediction

E = ErrorClass

BUSY = (
    "Service is currently unavailable due to high demand. Please try again later. (E003)",
    "Service is temporarily unavailable. Please try again later. (E004)",
    "Service is currently unavailable due to high demand. Please try again later.",
    "The model is overloaded. Please try again later.",
    "503 UNAVAILABLE. {'error': {'code': 503, 'message': 'The model is overloaded.'}}",
    "No capacity available for model image-pro on the server",
    "MODEL_CAPACITY_EXHAUSTED",
    "We're currently at capacity. Please retry in a few minutes.",
    "Our servers are experiencing high load right now, please try again in 30 seconds",
    "That model is currently overloaded with other requests. You can retry your request.",
    "Server is busy, please try again soon",
    "The server had an error processing your request. Sorry about that!",
    "Internal server error",
    "An internal error has occurred. Please retry or report it.",
    "Prediction interrupted; please retry (code: PA)",
    "502 Bad Gateway",
    "upstream error: 504 Gateway Timeout",
    "HTTPError: 503 Service Unavailable for url",
    "('Connection aborted.', RemoteDisconnected('Remote end closed connection'))",
    "Connection reset by peer",
    "The worker was preempted while it ran",
    "Resource has been exhausted, try again later",
    "Unable to process the request due to insufficient GPU capacity",
    "Image generation is experiencing heavy demand",
    # Checks that broke, not content that they refused.
    "The moderation service is temporarily unavailable",
    "Content moderation timed out",
    "Failed to load the safety checker weights",
    "NSFW classifier could not be loaded",
)

REFUSED = (
    "NSFW content detected. Try running it again, or try a different prompt.",
    "The input or output was flagged as sensitive. Please try again with different inputs. (E005)",
    "The input or output was flagged as sensitive. Please try again with different inputs.",
    (
        "Your request was rejected as a result of our safety system. The prompt may hold text that "
        "is not allowed by our safety system."
    ),
    (
        "Your request was rejected as a result of our safety system. If this was done in "
        "error, your request may succeed if retried, or by adjusting your prompt."
    ),
    "moderation_blocked",
    "Prompt did not pass moderation",
    "Prompt not allowed because advanced moderation failed",
    "Request Moderated",
    "Content Moderated",
    "Your request was flagged by our content moderation system and was denied.",
    "Your request was rejected by content moderation. The prompt was flagged as disallowed.",
    "Prompt provided failed safety check due to the inclusion of prohibited content.",
    "Image provided failed safety check",
    "finish_reason: PROHIBITED_CONTENT",
    "finish_reason: SAFETY",
    "The generated image was blocked due to safety policy violation [IMAGE_SAFETY]",
    "INVALID_ARGUMENT / reason=PUBLIC_ERROR_UNSAFE_GENERATION",
    "content_policy_violation",
    "This request violates our content policy.",
    "This query violates the policy against generating content that promotes violence",
    "The prompt may violate our guardrails around nudity, sexuality, or erotic content.",
    "We detected behavior that may violate our content policy.",
    "The response is blocked, as it may violate our policies. Error Code: 58061214",
    "This prompt contains sensitive words that violate our Responsible AI practices.",
    "All images were filtered out because they violated our usage guidelines. Try rephrasing.",
    (
        "The response was filtered due to the prompt triggering the content management policy: "
        "content_filter"
    ),
    "ResponsibleAIPolicyViolation",
    "Potential NSFW content was detected in one or more images. A black image will be returned.",
    "All generated images contained NSFW content. Try running it again with a different prompt.",
    "InputTextSensitiveContentDetected",
    "The request failed because the output image may contain sensitive information",
    "input new_sensitive",
    "DataInspectionFailed: Output data may contain inappropriate content.",
    "Post Img Risk Not Pass",
    "Failure to pass the risk control system",
    "Banned prompt: your text contains banned words",
    "SAFETY.INPUT.TEXT",
    "content_against_policy",
    "The text contains explicit content which is not permitted",
    "Sorry, we can't generate images of real people",
    "Your lyrics contain copyrighted material",
    "Uploaded audio matches existing work of art.",
    "The prompt goes against our usage policies",
    "Unsafe content detected. Please try again later.",
    "Blocked by the safety filter",
    "The safety filters rejected all outputs",
    "I'm sorry, but I can\u2019t assist with that request.",
    "Input image contains sexual content",
)

OTHERS = {
    "CUDA out of memory. Tried to allocate 2.00 GiB": E.OUT_OF_MEMORY,
    "torch.cuda.OutOfMemoryError: tried to allocate 20.00 MiB": E.OUT_OF_MEMORY,
    "The container ran OOM, please try again later": E.OUT_OF_MEMORY,
    "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory": E.OUT_OF_MEMORY,
    "upstream request timed out": E.TIMEOUT,
    "httpx.ReadTimeout": E.TIMEOUT,
    "504 Deadline Exceeded: deadline exceeded": E.TIMEOUT,
    "Generation took too long and was stopped": E.TIMEOUT,
    "The upstream model was throttled": E.RATE_LIMIT,
    "429 Too Many Requests": E.RATE_LIMIT,
    "Rate limit reached for images per minute": E.RATE_LIMIT,
    "You exceeded your current quota, please check your plan": E.QUOTA_EXCEEDED,
    "Billing hard limit has been reached": E.QUOTA_EXCEEDED,
    "Insufficient credits": E.INSUFFICIENT_CREDIT,
    # Words that only look like a family's.
    "list index out of range": E.UNKNOWN,
    "Model names are case-sensitive": E.UNKNOWN,
    "The result is sensitive to rounding": E.UNKNOWN,
    "UniqueViolation: duplicate key value violates unique constraint": E.UNKNOWN,
    "memory access violation at address 0x0": E.UNKNOWN,
    "safety_filter_level must be one of block_low_and_above": E.UNKNOWN,
    "disable_safety_checker must be a boolean": E.UNKNOWN,
    "WeightsUnpickler: unsafe global posix.system": E.UNKNOWN,
    "prompt must be at most 500 characters": E.UNKNOWN,
}

TEXTS = dict.fromkeys(BUSY, E.SERVER_ERROR) | dict.fromkeys(REFUSED, E.CONTENT_POLICY) | OTHERS


@pytest.mark.parametrize(("text", "found"), TEXTS.items())
def test_a_failed_prediction_is_classified_by_what_it_says(text: str, found: ErrorClass) -> None:
    """A busy provider is asked again, a refused content never unchanged; whatever the wording."""
    for written in (text, text.upper(), f"Prediction failed:\n{text}"):
        failure = from_prediction(prediction(status="failed", error=written))
        assert failure.error_class is found, failure.cause


def test_there_are_many_texts() -> None:
    """Enough of each family that a change of its words is noticed."""
    assert len(TEXTS) >= 100


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_create_refused_for_its_content_is_no_bad_input(status: int) -> None:
    """A prompt that is refused before it runs is simplified like one that is refused after."""
    refusal = RefusedError(f"HTTP {status}: Prompt did not pass moderation", status=status)
    assert from_refusal(refusal).error_class is E.CONTENT_POLICY
    plain = RefusedError(f"HTTP {status}: prompt is required", status=status)
    assert from_refusal(plain).error_class is not E.CONTENT_POLICY


def test_an_input_that_is_named_is_a_bad_input_whatever_it_is_called() -> None:
    """`safety_checker: must be a boolean` speaks of an input."""
    named = RefusedError(
        "HTTP 422: - input.safety_checker: must be a boolean",
        status=422,
        invalid_fields=(("input.safety_checker", "must be a boolean"),),
    )
    assert from_refusal(named).error_class is E.INVALID_INPUT


def test_a_long_text_costs_no_time() -> None:
    """A page in the place of an error is looked through in a moment."""
    text = "violates " * 100_000
    assert from_prediction(prediction(status="failed", error=text)).error_class is E.UNKNOWN
