"""The one family of errors a user can cause. Everything else is a bug and shows its trace."""


class FewviewError(Exception):
    """What went wrong, where, and what to do about it.

    Args:
        what: one sentence; names the file, option or stage concerned.
        remedy: one sentence, in the imperative.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


class InputError(FewviewError):
    """Usage, configuration or input is wrong: running again unchanged cannot help (exit code 2)."""

    exit_code = 2


class ReconstructionError(FewviewError):
    """The input is readable but lacks what the stage needs, such as overlap of the photos (exit code 1)."""


class EnvironmentFault(FewviewError):
    """The machine lacks something: disk space, a library, weights, a permission (exit code 1)."""


class MemoryFault(EnvironmentFault):
    """Memory ran out: asking for less may help."""


class KilledFault(EnvironmentFault):
    """A process was killed from outside: the same again may succeed."""


class InUseFault(EnvironmentFault):
    """Another run is at work in the output folder: waiting helps."""
