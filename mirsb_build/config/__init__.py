"""What a build is chosen and described with: profiles, taxonomy, prompt templates, the replies they ask for."""
