-- report: what one request told about its provider, at once; its permit is freed, and it counts once.
-- args: id report last (nothing more comes of its attempt)
report(a.id, load_call(a.id), a.report, a.last)
return { 'ok' }
