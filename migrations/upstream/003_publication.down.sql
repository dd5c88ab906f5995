DROP FUNCTION pgweir.unpublish(name, oid);
DROP FUNCTION pgweir.publish(name, oid);
