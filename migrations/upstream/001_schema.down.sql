DROP TABLE pgweir.installed;
-- Not with CASCADE: what somebody else has put there stays, and says so.
DROP SCHEMA pgweir;
