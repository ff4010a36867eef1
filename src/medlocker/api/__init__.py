"""What `import medlocker` offers, one call a file; nothing is imported before it is used."""
