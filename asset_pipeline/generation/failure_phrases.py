"""Families of words by which providers say why a prediction failed.

Each provider and each model behind one has sentences of its own, and changes them; what they share
are words. The families are looked for in order, the most telling first: a sentence that refuses a
picture for its content often ends with "please try again".
"""

from __future__ import annotations

import re

from asset_pipeline.generation.failures import ErrorClass

# A check that broke says nothing about the content that it should have checked.
_BROKEN_CHECK = (
    (
        r"\b(?:safety|moderation|nsfw|content)\W+(?:\w+\W+){0,4}?"
        r"(?:unavailable|unreachable|overloaded|crashed|timed? ?out"
        r"|(?:failed|unable) to (?:load|start|respond|connect|initiali[sz]e)"
        r"|could not be (?:loaded|reached))\b"
    ),
    (
        r"\b(?:failed to|unable to|could not|error while) (?:load|download|reach)(?:ing)?"
        r"\W+(?:\w+\W+){0,3}?(?:safety|moderation|nsfw)\b"
    ),
)

_MEMORY = (
    r"\bout ?of ?memory\b",
    r"\boutofmemory",
    r"\boom\b",
    r"\b(?:cannot|can't|could not|failed to|unable to) allocate\b",
    r"\bnot enough (?:gpu |video |v)?(?:memory|ram|vram)\b",
)

_RULES = r"(?:polic(?:y|ies)|guidelines?|guardrails?|terms|rules|standards?|practices|conduct)"

_CONTENT = (
    r"\bnsfw\b",
    r"\bnot safe for work\b",
    r"\bmoderat(?:ion|ed|or)\b",
    r"\b(?:was|were|been|is|are) (?:\w+ )?flagged\b",
    r"\bflagged (?:as|by|for|content|prompt|input)\b",
    rf"\bviolat\w*\W+(?:\S+\W+){{0,8}}?{_RULES}\b",
    rf"\b{_RULES} violations?\b",
    rf"\b(?:against|breach(?:es)?|breaks?|not comply with)\W+(?:\w+\W+){{0,5}}?{_RULES}\b",
    r"\bcontent (?:polic(?:y|ies)|filter(?:s|ed|ing)?|guidelines?|restrictions?|safety)\b",
    r"\bcontent violations?\b",
    r"\b(?:usage|use) (?:polic(?:y|ies)|guidelines?)\b",
    r"\bcommunity (?:guidelines?|standards?)\b",
    r"\bresponsible ?ai",
    # "disable safety checker" and "safety filter level" are names of inputs.
    r"(?<!disable )\bsafety (?:system|checker|checks?|guards?|guardrails?|classifier|reasons?)\b",
    r"(?<!disable )\bsafety (?:concerns?|restrictions?|violations?|guidelines?|polic(?:y|ies))\b",
    r"\bsafety filters?\b(?! (?:level|threshold))",
    r"\bsafety\.(?:input|output)\b",
    r"\b(?:image|prohibited|due to|for|finish reason:?|reason:?) safety\b",
    r"sensitivecontent",
    r"(?<!case )(?<!case-)\bsensitive\b(?! to\b)",
    r"\bunsafe\b(?! (?:pickle|global|deseriali|cast|operation|load|memory))",
    (
        r"\b(?:prohibited|disallowed|forbidden|banned|blocked|restricted|objectionable)"
        r" (?:content|words?|terms?|prompts?|material|keywords?|phrases?|topics?|use)\b"
    ),
    (
        r"\b(?:inappropriate|explicit|offensive|harmful|abusive|adult|indecent|illegal|graphic)"
        r" (?:content|material|prompts?|words?|language|imagery|images?|text|violence)\b"
    ),
    r"\b(?:nudity|nude|pornograph\w*|sexual(?:ly)?|erotic|hate speech|csam)\b",
    r"\bnot (?:allowed|permitted) by (?:our|the) (?:safety|content|usage|polic)",
    r"\bfailed (?:the |our )?(?:safety|content|moderation)\b",
    r"\b(?:real|public|identifiable|famous) (?:people|persons?|figures?|individuals?)\b",
    r"\b(?:copyright(?:ed)?|trademark(?:ed)?|recitation)\b",
    r"\bexisting work of art\b",
    r"\bdata ?inspection ?failed",
    r"\brisk (?:control|not pass)",
    r"\b(?:can(?:no|')?t|unable to|not able to|won't) (?:help|assist|comply|fulfill)\b",
)

_QUOTA = (r"\bquotas?\b", r"\b(?:billing|spend(?:ing)?|usage) (?:hard )?limit\b")
_CREDIT = (
    r"\b(?:insufficient|not enough|out of|no) (?:\w+ )?(?:credits?|balance|funds)\b",
    r"\bpayment required\b",
)

_TIME = (
    r"\btime[ds]?[ -]?out\b",
    r"\bdeadline exceeded\b",
    r"\btook too long\b",
    r"timeout(?:error|exception)?\b",
)

_PACE = (
    r"\bthrottl(?:ed|ing)\b",
    r"\brate ?-?limit",
    r"\btoo many (?:concurrent )?requests\b",
    r"\bconcurren(?:cy|t requests?) limit\b",
    r"\bslow down\b",
)

_GATEWAY = (r"\b(?:bad )?gateway\b", r"\bhttp (?:error )?5\d\d\b", r"\b5\d\d (?:server|service)\b")
_SERVER = (
    r"\bcode: pa\b",
    r"\bhigh (?:demand|load|traffic|volume)\b",
    r"\b(?:heavy|peak|excessive) (?:demand|load|traffic|usage)\b",
    r"\boverload(?:ed|ing)?\b",
    r"\b(?:at|over|no|insufficient|limited|exceed(?:ed|s)?|out of|full) (?:\w+ )?capacity\b",
    r"\bcapacity (?:\w+ )?(?:exhausted|exceeded|constraints?|reached|unavailable|error|issues?)\b",
    r"\bresources? (?:has been |have been |is |are )?exhausted\b",
    r"\b(?:currently|temporarily|momentarily|service|server|model|is|are|upstream) unavailable\b",
    r"\b(?:server|service|model|system|worker|gpu)s? (?:is |are )?(?:currently |too |very )?busy\b",
    r"\b(?:try|retry)(?: your request| the request)? again (?:later|soon|shortly|in (?:a|\d))",
    r"\bplease (?:re)?try (?:again )?(?:later|soon|shortly|in (?:a|\d))",
    r"\bplease retry\b",
    r"\binternal (?:server )?(?:error|failure)\b",
    r"\b(?:upstream|backend|server|infrastructure) (?:\w+ )?(?:error|failure|failed)\b",
    r"\b(?:server|service|backend) (?:had|encountered|experienced|returned) an? (?:\w+ )?error\b",
    r"\bunexpected error handling prediction\b",
    r"\b(?:interrupted|preempted|evicted)\b",
    r"\bconnection (?:\w+ ){0,3}?(?:reset|refused|aborted|closed|lost|error|broken)\b",
    r"\b(?:server|remote end) (?:disconnected|closed connection)\b",
    r"\bcold boot\b|\bfailed to start\b",
)

FAMILIES: tuple[tuple[ErrorClass, tuple[str, ...]], ...] = (
    (ErrorClass.SERVER_ERROR, _BROKEN_CHECK),
    (ErrorClass.OUT_OF_MEMORY, _MEMORY),
    (ErrorClass.CONTENT_POLICY, _CONTENT),
    (ErrorClass.QUOTA_EXCEEDED, _QUOTA),
    (ErrorClass.INSUFFICIENT_CREDIT, _CREDIT),
    (ErrorClass.SERVER_ERROR, _GATEWAY),
    (ErrorClass.TIMEOUT, _TIME),
    (ErrorClass.RATE_LIMIT, _PACE),
    (ErrorClass.SERVER_ERROR, _SERVER),
)

_PATTERNS = tuple(
    (found, re.compile("|".join(f"(?:{word})" for word in words))) for found, words in FAMILIES
)

# A provider's words are cut before they are looked through: what it has to say stands in front.
_LONGEST = 4000


def class_of_words(message: str) -> tuple[ErrorClass, str] | None:
    """Return the class that a message's words speak of, and the words; None when they say nothing.

    Args:
        message: What the provider said, in any case, with spaces or underscores.
    """
    words = re.sub(r"[\s_]+", " ", message[:_LONGEST]).replace("\u2019", "'").lower()
    for found, pattern in _PATTERNS:
        match = pattern.search(words)
        if match is not None:
            return found, match[0]
    return None
