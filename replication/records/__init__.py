"""The data dictionary: words, metrics, cards and rows of the suite, and how rows are stored. Standard library only."""

from replication.records.words import UserError as UserError
