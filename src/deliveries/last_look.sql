-- Of the contacts $1, whose claim has committed, those who must not be written to at $2, and why.
--
-- A claim commits and then asks for consent; whoever opts somebody out commits and then asks
-- for claims (contacts/on_the_wire.sql). Whichever comes second sees the other, and neither
-- has to lock anything for it.
SELECT contact_id AS id, outcome AS barred FROM reach($2) WHERE contact_id = ANY ($1) AND outcome IS NOT NULL
