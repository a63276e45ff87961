-- A text as people type it who look for it: small letters without their accents.
CREATE FUNCTION plain_text(text text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(normalize(lower(text), NFD), '[\u0300-\u036f]', '', 'g')
$$;
