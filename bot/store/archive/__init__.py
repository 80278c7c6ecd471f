"""Archives: where records go that are older than `PMAGENT_RETENTION_DAYS` and closed.

::

    data/journal.jsonl                                 what is alive, and which archives there are
    data/archive/0001-2025-11-22-9f86d081.jsonl.gz     number, date up to which it was made, start of its SHA-256
    data/archive/0002-2025-12-22-60303ae2.jsonl.gz

An archive is a closed, gzipped file of JSON lines (`format`), never changed after it got its name::

    zcat data/archive/*.gz | jq -c 'select(.table == "drafts").record'

**The journal says which archives there are.** Table `state` has one record per archive (`listing`), written in the same
journal line that takes the archived records out of the journal (`moving`). So at each instant a record is in exactly
one place: before that line is synced the new file is not listed and nobody reads it, afterwards the journal has the
records no more. A file that no record lists is what a crash left behind; it is ignored, and removed by the next run.

What may leave is decided in `closed`: whole stories (an event with its cycles and drafts), never parts of one. The
audit trail leaves from its beginning on, in order, so its chain goes through the archives and on in the journal.
`reading` gives a table's records from all places, oldest first. An erasure, and a run that finds the last archive
small, write a new file in an archive's place and list it under the same number; the old one is removed after that.
"""
