-- report: what one request told about its provider, at once; its permit is freed, and it counts once.
-- args: id report
report(a.id, load_call(a.id), a.report)
return { 'ok' }
