DROP EVENT TRIGGER pgweir_rewrites;
DROP EVENT TRIGGER pgweir_drops;
DROP EVENT TRIGGER pgweir_definitions;
DROP FUNCTION pgweir.tell_rewrite();
DROP FUNCTION pgweir.tell_drops();
DROP FUNCTION pgweir.tell_definitions();
DROP FUNCTION pgweir.keep_updates_possible();
