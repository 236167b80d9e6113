"""Which code and which schema may send: a process of another version than the deployed one must not."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """Code and schema of the process, and those that were deployed; empty where nobody said."""

    code: str = ""
    schema: str = ""
    deployed_code: str = ""
    deployed_schema: str = ""

    @property
    def mismatch(self) -> str:
        """In which they differ, in words; empty where they agree or nothing is known to compare."""
        sides = {"code": (self.code, self.deployed_code), "schema": (self.schema, self.deployed_schema)}
        return "; ".join(
            f"this process has {name} {ours}, deployed is {deployed}"
            for name, (ours, deployed) in sides.items()
            if ours and deployed and ours != deployed
        )
