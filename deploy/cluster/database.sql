-- Run once, on the primary.
CREATE ROLE pennypost LOGIN PASSWORD 'password-of-pennypost';
CREATE DATABASE mail OWNER pennypost ENCODING 'UTF8';
