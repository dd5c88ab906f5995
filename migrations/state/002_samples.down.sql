ALTER TABLE bucket DROP COLUMN habits;
DROP TABLE caller;
DROP TABLE sample;
DROP TABLE secret;
