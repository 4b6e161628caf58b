"""The timeouts of the paid call. Tests shorten them; users rarely change them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds.

    Attributes:
        first_poll: Between two looks at the listing of what has ended, while all are young.
        longest_poll: Between two such looks at the most.
        slowest_poll: After so long a prediction is asked for by itself, whatever the listing says.
        deadline_margin: How much longer than the provider's own deadline we wait for its word.
        settle: A prediction that may have been accepted is not called absent before this time has
            passed since its reply was lost: the provider's listing may lag behind its creates.
        late_acceptance: Nor before this time has passed since it was sent: a request may wait in a
            gateway whose client is long gone. The slowest in common use gives up after 100 s.
        clock_skew: How far a provider's clock may differ from ours beyond what its answers showed.
        other_worker: Between two looks at an intent that another process drives.
        retention: How long the provider keeps an output after completion.
        delivery_patience: A file that can't be had is asked for so long after its prediction
            ended, while the run goes on with others; then it is left to later runs.
        late_patience: So long does a later run, or ``reconcile``, ask for such a file.
        cut_spread: Fetches that show the same damaged bytes over so long prove that the provider
            has no others.
        forgotten: A prediction that the provider says it does not know, for so long, is forgotten.
        outage: A provider that answers no question is asked again for so long before a clip whose
            reply was lost is left to a retry; its money stays reserved.
        store_patience: A store that is away is waited for so long with a clip that is paid for;
            then the clip is left to a retry, which fetches it again.
    """

    first_poll: float = 0.1
    longest_poll: float = 1.0
    slowest_poll: float = 5.0
    deadline_margin: float = 60.0
    settle: float = 15.0
    late_acceptance: float = 120.0
    clock_skew: float = 300.0
    other_worker: float = 0.5
    retention: float = 3600.0
    delivery_patience: float = 180.0
    late_patience: float = 10.0
    cut_spread: float = 30.0
    forgotten: float = 5.0
    outage: float = 300.0
    store_patience: float = 900.0
