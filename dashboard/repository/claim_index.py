"""Where claims stand in the lists, and claims read for them: those on record, and those that only a snapshot is left of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import agents, claim_snapshots, policies
from dashboard.repository.agents import Directory
from dashboard.repository.claim_records import (
    LAPSED,
    STAGES,
    UNDECIDED,
    Claim,
    Record,
    claim_of,
    is_number,
    read,
)
from dashboard.repository.index import NEVER, UNKNOWN, Entry, Index, Pipe, number_score
from dashboard.repository.values import distinct

POLICY_FIELDS = dict.fromkeys(keys.PRODUCTS, ("agent", "customer"))
_LATEST = 4_000_000_000_000
"""Unix ms (the year 2096) that no decision is later than."""

INDEX = Index(
    "claims",
    # The coarse ones are for those who see every branch, or every product: a list costs them no more with more branches.
    patterns=(
        *((), ("stage",), ("stage", "branch"), ("stage", "product"), ("stage", "branch", "product")),
        *(("policy",), ("customer",), ("adjuster", "stage")),
    ),
    # By deadline: undecided claims, the soonest to end first; beyond NEVER the others, newest first.
    # By since: whatever has been at its stage for longest first.
    # By number: for the search alone, which looks for what a number begins with.
    sorts=("deadline", "since", "number"),
    domains={"stage": (*STAGES, LAPSED), "product": (*keys.PRODUCTS, UNKNOWN)},
    lookups=("adjuster",),
)


def load(client: Redis, numbers: Iterable[str], *, directory: Directory | None = None) -> dict[str, Claim]:
    """Claims by number, those that exist in any form, the lapsed ones among them. Two round trips for their own keys, one
    where some are gone, and up to three for their policies.
    """
    directory = directory or agents.directory(client)
    claims, _, _ = _load(client, [number for number in numbers if is_number(number)], directory)
    return claims


def _load(
    client: Redis, numbers: Sequence[str], directory: Directory
) -> tuple[dict[str, Claim], dict[str, Record], dict[str, claim_snapshots.Snapshot]]:
    records = {record.number: record for record in read(client, numbers)}
    there = {number: record for number, record in records.items() if record.exists}
    kept = claim_snapshots.read(client, [number for number in records if number not in there])
    found = [claim_of(record, directory) for record in there.values()]
    found += [claim_of(each.record, directory, lapsed=each.lapsed) for each in kept.values()]
    return with_policies(client, found, directory), there, kept


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these claims, and keep the facts of those that others wrote. Eight round
    trips or so. Gives how many entries changed.

    Own changes do this in their transaction; this is for what other tools wrote, and for what has ended.
    """
    members = [member for member in members if is_number(member)]

    def look(members: Sequence[str]) -> dict[str, Entry]:
        claims, records, kept = _load(client, members, agents.directory(client))
        undecided = [number for number in records if claims[number].stage in UNDECIDED]
        sealed = claim_snapshots.seals(client, undecided)
        pipe = client.pipeline(transaction=True)
        recorder = Pipe(pipe)
        for number, seal in sealed.items():
            if seal != claim_snapshots.seal(records[number]):
                claim_snapshots.keep(recorder, records[number], claims[number].deadline)
        for snapshot in kept.values():
            claim_snapshots.miss(recorder, snapshot)
        known = distinct(claim.adjuster for claim in claims.values())
        if known:
            pipe.sadd(keys.adjusters(), *known)
        pipe.execute()
        return {number: entry(claim) for number, claim in claims.items()}

    return INDEX.follow(client, members, look, force=force)


def entry(claim: Claim) -> Entry:
    since = clock.ms(claim.since) if claim.since else NEVER
    scores = {"deadline": _by_deadline(claim), "since": since, "number": number_score(claim.number)}
    return Entry(facets_of(claim), scores)


def facets_of(claim: Claim) -> dict[str, str]:
    return {
        "stage": claim.stage,
        "branch": claim.branch,
        "product": claim.product,
        "policy": policy_facet(claim.policy),
        "customer": claim.customer or "",
        "adjuster": claim.adjuster or "",
    }


def policy_facet(policy: str | None) -> str:
    return (policy or "").replace(":", ".")


def _by_deadline(claim: Claim) -> int:
    if claim.stage in UNDECIDED:
        return NEVER if claim.deadline is None else claim.deadline
    moved = claim.since or claim.decided
    return NEVER + _LATEST - min(max(clock.ms(moved) if moved else 0, 0), _LATEST)


def with_policies(client: Redis, found: Sequence[Claim], directory: Directory) -> dict[str, Claim]:
    """The claims with their policies' agents, and so branches: a claim goes where its policy goes, whoever had it when
    it was reported. The customer is the policy's where the claim names none. Up to three round trips.
    """
    named = distinct(claim.policy for claim in found)
    known = policies.load(client, named, fields=POLICY_FIELDS, directory=directory) if named else {}
    claims = {}
    for claim in found:
        policy = known.get(claim.policy or "")
        if policy:
            agent = policy.agent or claim.agent
            customer = claim.customer or policy.customer
            claim = replace(claim, agent=agent, branch=directory.branch_of(agent), customer=customer)
        claims[claim.number] = claim
    return claims


def of_policies(client: Redis, names: Sequence[str], *, limit: int = 1_000) -> list[str]:
    """The claims on these policies, as far as the index has them. One round trip."""
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.zrange(INDEX.key(INDEX.cell(policy=policy_facet(name)), "deadline"), 0, limit - 1)
    return distinct(number for members in pipe.execute() for number in members)
