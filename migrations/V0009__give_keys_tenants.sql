-- Whose documents a key opens; none for an administrator of the platform. Keys from before open what they opened, and their
-- administrators administer all there is.
ALTER TABLE api_keys ADD COLUMN tenant text;
UPDATE api_keys SET tenant = 'default' WHERE role <> 'admin';
ALTER TABLE api_keys
    ADD CONSTRAINT api_keys_tenant_is_known CHECK (tenant IS NOT NULL OR role = 'admin'),
    ADD CONSTRAINT api_keys_tenant_is_name CHECK (tenant ~ '^[A-Za-z0-9._-]{1,249}$' AND tenant NOT IN ('.', '..'));

-- Whose documents an answer was made of. A default that is a constant rewrites no row.
ALTER TABLE answers ADD COLUMN tenant text NOT NULL DEFAULT 'default';
