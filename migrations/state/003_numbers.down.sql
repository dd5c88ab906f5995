DROP TABLE fix_number;
DROP TRIGGER shape_is_numbered;
DROP TABLE shape_number;
