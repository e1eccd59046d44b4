"""What lives in Redis: the ledger of calls, the providers' health, the operators' controls, the inboxes."""
