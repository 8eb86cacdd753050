"""Everything one running demo GitLab holds."""

from dataclasses import dataclass, field

from extauthz.local.gitlab.calls import CallLog
from extauthz.local.gitlab.faults import Faults
from extauthz.local.gitlab.instance import Instance


@dataclass(slots=True)
class Site:
    """The instance, which a reset replaces, the faults it plays and the log of its calls."""

    instance: Instance
    faults: Faults = field(default_factory=Faults)
    calls: CallLog = field(default_factory=CallLog)
