-- audit: notes what an operator did.
-- args: audit {who what why token}
audit(a.audit)
return { 'ok' }
